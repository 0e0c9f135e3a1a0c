"""One process of a run, started by `pathline run`: `python -m pipeline.worker`.

What to do comes through its input, and what it dies of goes to its output.
"""

from __future__ import annotations

from datetime import timedelta

from pipeline.run import dataflow, epoch, plan
from pipeline.runtime import launch, meters, processes, stop, underway
from pipeline.runtime.members import recovery_of
from pipeline.settings import Settings
from pipeline.warm import warm


def main() -> None:
    """Runs this process's part until the input ends, a stop is asked for, or something breaks."""
    stop.on_signals(second_forces=False)
    task = processes.receive_task()
    try:
        planned = plan(Settings(**task.settings))
        launch.share_cores(planned.settings.workers)
        warm(planned.journeys, stores_events=planned.settings.store_events)
        meters.begin(planned.state.path, task.process)
        underway.join(planned.state.path, len(planned.inputs.origins), task.narrow)
        every = timedelta(seconds=underway.NARROW_EPOCH_SECONDS) if task.narrow else epoch(planned.settings)
        flow = dataflow(planned)
        with launch.measured(planned.state.path / f"steps-{task.process}.json"):
            if task.addresses:
                with recovery_of(planned.state, planned.settings.process_id, task) as recovery:
                    launch.run_worker(flow, every, recovery, task.addresses, task.process)
            else:
                launch.run_here(flow, every, planned.state.recovery())
    except BaseException as error:  # a panic of Rust is no Exception
        processes.die_of(error)
    processes.leave(0)


if __name__ == "__main__":
    main()
