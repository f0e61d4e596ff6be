"""Only finished deliveries are indexed, and the text index is merged in small steps: see simulator/searchable.py."""

from django.db import migrations, models

SET = "INSERT INTO simulator_search (simulator_search, rank) VALUES ('{}', {})"


class Migration(migrations.Migration):
    dependencies = [("simulator", "0002_search")]
    operations = [
        migrations.RemoveIndex("delivery", "unindexed"),
        migrations.AddIndex(
            "delivery",
            models.Index(
                fields=["id"],
                name="to_index",
                condition=models.Q(("due_at__isnull", True), ("indexed", False)),
            ),
        ),
        migrations.RunSQL(SET.format("automerge", 0), SET.format("automerge", 4)),
        migrations.RunSQL(SET.format("crisismerge", 64), SET.format("crisismerge", 16)),
    ]
