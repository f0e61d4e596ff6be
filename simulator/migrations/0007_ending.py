"""How a delivery ended, as one text that can be indexed: see simulator/endings.py."""

from django.db import migrations, models
from django.db.models import Value
from django.db.models.functions import Concat

ENDING = models.GeneratedField(
    expression=Concat("status", Value(" "), "last_status_code", Value(" "), "last_error"),
    output_field=models.TextField(),
    db_persist=False,
)
ENDED = models.Q(due_at__isnull=True)
# Django would copy the table to add a column; this takes no time.
ADD = """
ALTER TABLE simulator_delivery ADD COLUMN ending text GENERATED ALWAYS AS (
  status || ' ' || coalesce(last_status_code, '') || ' ' || coalesce(last_error, '')) VIRTUAL"""


class Migration(migrations.Migration):
    dependencies = [("simulator", "0006_nul")]
    operations = [
        migrations.RunSQL(
            ADD,
            "ALTER TABLE simulator_delivery DROP COLUMN ending",
            state_operations=[migrations.AddField("delivery", "ending", ENDING)],
        ),
        migrations.RemoveIndex("delivery", "by_status"),
        migrations.AddIndex(
            "delivery",
            models.Index(fields=["ending", "type", "id"], name="by_ending", condition=ENDED),
        ),
        migrations.AddIndex(
            "delivery",
            models.Index(
                fields=["endpoint", "ending", "type", "id"], name="by_endpoint_ending", condition=ENDED
            ),
        ),
    ]
