"""An endpoint's own Content-Type and User-Agent are searched like its other headers: see simulator/searchable.py.

What is indexed of a delivery changes with that, so all are indexed anew, when nothing else is to do.
"""

import importlib

from django.db import migrations

before = importlib.import_module("simulator.migrations.0002_search").VIEW
LEFT_OUT = """substr(lower(json_extract(h.value, '$[0]')), 1, 12) NOT IN
        ('host', 'content-type', 'content-leng', 'user-agent', 'accept-encod', 'x-ultrareach')"""
assert LEFT_OUT in before
VIEW = before.replace(
    LEFT_OUT,
    """substr(lower(json_extract(h.value, '$[0]')), 1, 12) NOT IN
        ('host', 'content-leng', 'accept-encod', 'x-ultrareach')
      AND lower(json_extract(h.value, '$[0]')) || ': ' || json_extract(h.value, '$[1]') NOT IN
        ('content-type: application/json', 'user-agent: UltraReach-Webhooks/1.0 (simulator)')""",
)
EMPTY = "INSERT INTO simulator_search (simulator_search) VALUES ('delete-all')"
ANEW = "UPDATE simulator_delivery SET indexed = FALSE WHERE indexed"


class Migration(migrations.Migration):
    dependencies = [("simulator", "0003_to_index")]
    operations = [
        migrations.RunSQL("DROP VIEW simulator_searchable", before),
        migrations.RunSQL(VIEW, "DROP VIEW simulator_searchable"),
        migrations.RunSQL(EMPTY, EMPTY),
        migrations.RunSQL(ANEW, ANEW),
    ]
