r"""A NUL ends a text for SQLite: of a delivery that had a binary answer nothing behind it was searched. It is a U+FFFD now,
as pages show it; see simulator/searchable.py. All are indexed anew, when nothing else is to do.

SQLite's replace() knows no NUL, but JSON spells it: \u0000, which is no part of \\u0000 once each \\ is a \u005c.
"""

import importlib

from django.db import migrations

_before = importlib.import_module("simulator.migrations.0005_short_texts")
_anew = importlib.import_module("simulator.migrations.0004_own_headers")
WHOLE = r"""
CASE instr({0}, x'00') WHEN 0 THEN CAST({0} AS TEXT) ELSE json_extract(
  replace(replace(json_quote(CAST({0} AS TEXT)), '\\', '\u005c'), '\u0000', '\ufffd'), '$') END"""
VIEW = _before.VIEW
for _body in ("e.body", "a.response_body"):
    VIEW = VIEW.replace(f"CAST({_body} AS TEXT)", WHOLE.format(_body))


class Migration(migrations.Migration):
    dependencies = [("simulator", "0005_short_texts")]
    operations = [
        migrations.RunSQL("DROP VIEW simulator_searchable", _before.VIEW),
        migrations.RunSQL(VIEW, "DROP VIEW simulator_searchable"),
        migrations.RunSQL(_anew.EMPTY, _anew.EMPTY),
        migrations.RunSQL(_anew.ANEW, _anew.ANEW),
    ]
