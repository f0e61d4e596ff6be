r"""A NUL ends a text for SQLite: of a delivery that had a binary answer nothing behind it was searched. It is a U+FFFD now,
as pages show it; see simulator/searchable.py. Those that have one are indexed anew, when nothing else is to do. Of all
others the text stays what it was: to index a million again takes ten minutes, and a search meanwhile a minute.

SQLite's replace() knows no NUL, but JSON spells it: \u0000, which is no part of \\u0000 once each \\ is a \u005c.
"""

import importlib

from django.db import migrations

_before = importlib.import_module("simulator.migrations.0005_short_texts")
WHOLE = r"""
CASE instr({0}, x'00') WHEN 0 THEN CAST({0} AS TEXT) ELSE json_extract(
  replace(replace(json_quote(CAST({0} AS TEXT)), '\\', '\u005c'), '\u0000', '\ufffd'), '$') END"""
VIEW = _before.VIEW
for _body in ("e.body", "a.response_body"):
    VIEW = VIEW.replace(f"CAST({_body} AS TEXT)", WHOLE.format(_body))
# An index of its kind forgets a text only by that very text, so before the view changes, in either direction.
FORGET = [
    """
CREATE TEMP TABLE simulator_changing AS SELECT id FROM simulator_delivery WHERE indexed AND id IN (
  SELECT delivery_id FROM simulator_attempt WHERE instr(response_body, x'00')
  UNION ALL
  SELECT id FROM simulator_delivery WHERE event_id IN (SELECT id FROM simulator_event WHERE instr(body, x'00')))""",
    """
INSERT INTO simulator_search (simulator_search, rowid, text)
SELECT 'delete', id, text FROM simulator_searchable WHERE id IN (SELECT id FROM simulator_changing)""",
    "UPDATE simulator_delivery SET indexed = FALSE WHERE id IN (SELECT id FROM simulator_changing)",
    "DROP TABLE simulator_changing",
]


class Migration(migrations.Migration):
    dependencies = [("simulator", "0005_short_texts")]
    operations = [
        migrations.RunSQL(FORGET, migrations.RunSQL.noop),
        migrations.RunSQL("DROP VIEW simulator_searchable", _before.VIEW),
        migrations.RunSQL(VIEW, "DROP VIEW simulator_searchable"),
        migrations.RunSQL(migrations.RunSQL.noop, FORGET),
    ]
