"""One process of a run with several, started by `pathline run`: `python -m pipeline.worker`.

What to do comes through its input, and what it dies of goes to its output.
"""

from __future__ import annotations

from pipeline.run import dataflow, epoch, plan
from pipeline.runtime import launch, meters, stop
from pipeline.settings import Settings
from pipeline.warm import warm


def main() -> None:
    """Runs this process's part until the input ends, a stop is asked for, or something breaks."""
    stop.on_signals(second_forces=False)
    task = launch.receive_task()
    try:
        planned = plan(Settings(**task.settings))
        launch.share_cores(planned.settings.workers)
        warm(planned.journeys, stores_events=planned.settings.store_events)
        meters.begin(planned.state.path, task.process)
        flow, recovery = dataflow(planned), planned.state.recovery()
        with launch.measured(planned.state.path / f"steps-{task.process}.json"):
            launch.run_worker(flow, epoch(planned.settings), recovery, task.addresses, task.process)
    except BaseException as error:  # a panic of Rust is no Exception
        launch.die_of(error)
    launch.leave(0)


if __name__ == "__main__":
    main()
