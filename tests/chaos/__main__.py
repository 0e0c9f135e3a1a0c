"""Kills at random, and looks what is lost or doubled: `python -m tests.chaos --kills 100 --seed 1`.

Prints a line for each kill and writes CHAOS.md. The same seed draws the same records and the same kills. Ends
with 1 and the first rows that differ where something does; what was left then stays in the folder.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from pipeline.cli.compiled import keep_compiled
from tests.chaos.report import write
from tests.chaos.trial import Asked, Outcome, trial
from tests.kafka.broker import Broker

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--records-per-kill", type=int, default=Asked.records_per_kill)
    parser.add_argument("--partitioned-by", choices=("visitor", "none"), default=Asked.partitioned_by)
    parser.add_argument("--folder", type=Path, help="where it happens (default: a folder that is deleted)")
    parser.add_argument("--report", type=Path, default=HERE / "CHAOS.md")
    told = parser.parse_args()
    asked = Asked(told.kills, told.seed, told.records_per_kill, told.partitioned_by)
    keep_compiled()
    folder = told.folder or Path(tempfile.mkdtemp(prefix="pathline-chaos-"))
    broker = Broker(folder / "broker")
    try:
        broker.start()
        outcome = trial(broker, folder, asked, lambda line: print(line, flush=True))
    except Exception:
        failed(asked, folder)
        return 1
    finally:
        broker.stop()
    conclude(outcome, asked, told.report, folder, keep=told.folder is not None)
    return 0


def failed(asked: Asked, folder: Path) -> None:
    """Says what differs, and keeps it beside all that was left."""
    said = f"{asked}\n\n{traceback.format_exc()}"
    (folder / "failure.txt").write_text(said)
    print(f"{said}\nNOT equal, or not to be explained, with {asked}; all that was left is in {folder}")


def conclude(outcome: Outcome, asked: Asked, report: Path, folder: Path, *, keep: bool) -> None:
    """Writes the report, and leaves nothing else."""
    write(report, outcome, asked)
    print(f"{outcome.victims.total()} kills: nothing lost, nothing doubled; {report}")
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
