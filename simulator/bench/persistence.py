"""What it costs the engine to keep results: a process that measures it alone, with and without.

`python -m simulator.bench.persistence` reads one JSON object a line, {"url", "count", "keeps"}, and answers
{"engine_per_s", "engine_cpu_us"}, the second per delivery. Ends with its input. Needs DJANGO_SETTINGS_MODULE, and a
SIM_DATA_DIR with a database that nobody else uses.
"""

import asyncio
import json
import sys

import django

from simulator import garbage


def main() -> None:
    django.setup()
    from simulator.bench.stocked import measure  # imports models: Django has to be set up first

    garbage.spare()  # as the server does
    for line in sys.stdin:
        print(json.dumps(asyncio.run(measure(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
