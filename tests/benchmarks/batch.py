"""The batch query on some files, timed inside its own process, net of start-up: prints JSON."""

from __future__ import annotations

import json
import sys
import time

from tests import w1


def main() -> None:
    """`python -m tests.benchmarks.batch FILE...`"""
    import chdb.session  # noqa: F401  the import is start-up

    wall, cpu = time.perf_counter(), time.process_time()
    found = w1._ask(sys.argv[1:])
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({**took, "events": sum(int(str(row[2])) for row in found["by_stage"])}))


if __name__ == "__main__":
    main()
