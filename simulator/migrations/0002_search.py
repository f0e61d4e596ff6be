"""The full-text index over what was sent and what came back; see simulator/searchable.py."""

from django.db import migrations

VIEW = """
CREATE VIEW simulator_searchable AS
SELECT d.id AS id, CAST(e.body AS TEXT) || char(10) || coalesce((
  SELECT group_concat(coalesce((
      SELECT group_concat(json_extract(h.value, '$[0]') || ': ' || json_extract(h.value, '$[1]'), char(10))
      FROM json_each(a.request_headers) h
      WHERE substr(lower(json_extract(h.value, '$[0]')), 1, 12) NOT IN
        ('host', 'content-type', 'content-leng', 'user-agent', 'accept-encod', 'x-ultrareach')), '')
    || char(10) || coalesce((
      SELECT group_concat(json_extract(h.value, '$[0]') || ': ' || json_extract(h.value, '$[1]'), char(10))
      FROM json_each(a.response_headers) h), '')
    || char(10) || coalesce(CAST(a.response_body AS TEXT), ''), char(10))
  FROM simulator_attempt a WHERE a.delivery_id = d.id), '') AS text
FROM simulator_delivery d JOIN simulator_event e ON e.id = d.event_id"""
INDEX = """
CREATE VIRTUAL TABLE simulator_search USING fts5(
  text, content='simulator_searchable', content_rowid='id', tokenize='trigram', columnsize=0)"""


class Migration(migrations.Migration):
    dependencies = [("simulator", "0001_initial")]
    operations = [
        migrations.RunSQL(VIEW, "DROP VIEW simulator_searchable"),
        migrations.RunSQL(INDEX, "DROP TABLE simulator_search"),
    ]
