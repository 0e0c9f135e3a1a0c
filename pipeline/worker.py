"""One process of a run with several: `python -m pipeline.worker STATE_FOLDER`, started by `pathline run`.

What to do stands in the state folder (`run.json`), which process this is in the environment.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pipeline.run import dataflow, epoch, plan
from pipeline.runtime import launch, stop
from pipeline.settings import Settings
from pipeline.warm import warm


def main() -> None:
    """Runs this process's part until the input ends, a stop is asked for, or something breaks."""
    folder = Path(sys.argv[1])
    run = json.loads((folder / "run.json").read_text())
    process = int(os.environ["PATHLINE_PROCESS"])
    stop.on_signals()
    planned = plan(Settings(**run["settings"]))
    recovery = planned.state.recovery()
    warm(planned.journeys)
    with launch.measured(folder / f"steps-{process}.json"):
        launch.run_worker(dataflow(planned), epoch(planned.settings), recovery, run["addresses"], process)


if __name__ == "__main__":
    main()
