"""One or two characters are found by the trigrams that begin with them: so each text ends with two line breaks, and the
index tells its trigrams. See simulator/searchable.py. All are indexed again, when there is nothing else to do.
"""

import importlib

from django.db import migrations

_before = importlib.import_module("simulator.migrations.0004_own_headers")
VIEW = _before.VIEW.replace("''), 1, 524288) AS text", "''), 1, 524288) || char(10) || char(10) AS text")
WORDS = "CREATE VIRTUAL TABLE simulator_trigrams USING fts5vocab(simulator_search, row)"


class Migration(migrations.Migration):
    dependencies = [("simulator", "0004_own_headers")]
    operations = [
        migrations.RunSQL("DROP VIEW simulator_searchable", _before.VIEW),
        migrations.RunSQL(VIEW, "DROP VIEW simulator_searchable"),
        migrations.RunSQL(WORDS, "DROP TABLE simulator_trigrams"),
        migrations.RunSQL(_before.EMPTY, _before.EMPTY),
        migrations.RunSQL(_before.ANEW, _before.ANEW),
    ]
