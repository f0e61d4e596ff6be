"""An endpoint's own Content-Type and User-Agent are searched like its other headers, and no delivery has endless text:
see simulator/searchable.py. This changes what is indexed, so all are indexed again, when there is nothing else to do.
"""

import importlib

from django.db import migrations

BEFORE = importlib.import_module("simulator.migrations.0002_search").VIEW
VIEW = """
CREATE VIEW simulator_searchable AS
SELECT d.id AS id, substr(CAST(e.body AS TEXT), 1, 524288) || char(10) || substr(coalesce((
  SELECT group_concat(coalesce((
      SELECT group_concat(json_extract(h.value, '$[0]') || ': ' || json_extract(h.value, '$[1]'), char(10))
      FROM json_each(a.request_headers) h
      WHERE substr(lower(json_extract(h.value, '$[0]')), 1, 12) NOT IN
        ('host', 'content-leng', 'accept-encod', 'x-ultrareach')
      AND lower(json_extract(h.value, '$[0]')) || ': ' || json_extract(h.value, '$[1]') NOT IN
        ('content-type: application/json', 'user-agent: UltraReach-Webhooks/1.0 (simulator)')), '')
    || char(10) || coalesce((
      SELECT group_concat(json_extract(h.value, '$[0]') || ': ' || json_extract(h.value, '$[1]'), char(10))
      FROM json_each(a.response_headers) h), '')
    || char(10) || coalesce(CAST(a.response_body AS TEXT), ''), char(10))
  FROM simulator_attempt a WHERE a.delivery_id = d.id), ''), 1, 524288) AS text
FROM simulator_delivery d JOIN simulator_event e ON e.id = d.event_id"""
EMPTY = "INSERT INTO simulator_search (simulator_search) VALUES ('delete-all')"
ANEW = "UPDATE simulator_delivery SET indexed = FALSE WHERE indexed"


class Migration(migrations.Migration):
    dependencies = [("simulator", "0003_to_index")]
    operations = [
        migrations.RunSQL("DROP VIEW simulator_searchable", BEFORE),
        migrations.RunSQL(VIEW, "DROP VIEW simulator_searchable"),
        migrations.RunSQL(EMPTY, EMPTY),
        migrations.RunSQL(ANEW, ANEW),
    ]
