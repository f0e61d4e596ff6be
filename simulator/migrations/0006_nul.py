r"""For SQLite a NUL ends a text: what followed one in a binary answer was not searched. It now becomes a U+FFFD, as on
the pages; see simulator/searchable.py. Deliveries with one are indexed again, when there is nothing else to do. The text
of all others stays as it was: indexing a million again takes ten minutes, and a search meanwhile a minute.

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
# To remove a text from such an index takes that very text, so this runs before the view changes, in either direction.
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
