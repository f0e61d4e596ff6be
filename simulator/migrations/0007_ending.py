"""How a delivery ended, as one text that can be indexed: see simulator/endings.py."""

from django.db import migrations, models
from django.db.models import Value
from django.db.models.functions import Concat

ENDING = models.GeneratedField(
    expression=Concat("status", Value(" "), "last_status_code", Value(" "), "last_error"),
    output_field=models.TextField(),
    db_persist=False,
)
ENDED, UNFINISHED = models.Q(due_at__isnull=True), models.Q(due_at__isnull=False)
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
        *(
            migrations.RemoveIndex("delivery", name)
            for name in ("by_status", "by_status_code", "by_error", "unfinished")
        ),
        *(
            migrations.AddIndex("delivery", models.Index(fields=fields, name=name, condition=condition))
            for name, fields, condition in (
                ("by_ending", ["ending", "type", "id"], ENDED),
                ("by_endpoint_ending", ["endpoint", "ending", "type", "id"], ENDED),
                ("unfinished", ["id", "endpoint", "type", "last_status_code", "last_error"], UNFINISHED),
            )
        ),
    ]
