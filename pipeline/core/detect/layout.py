"""The detector's state: one record per scope and one per step.

A scope's record takes 1.2 kB, a step's 6.9 kB: 5 steps with 500 segments each are 3.1 MB. Times are unix
minutes. *Cohort* time is the minute in which people entered: `at` minus the step's horizon.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.core.detect.minutes import HORIZONS_MINUTES
from pipeline.core.detect.settings import DROPS

BUCKET: Final = 5
"""Minutes in one bucket of the ring."""
SLOTS: Final = 36
"""Buckets that the ring keeps: 3 hours."""
HOURS: Final = 168
NEVER: Final = -(2**31)
GROUP: Final = 15
"""Minutes over which dispersion is judged and the level follows."""
QUARTERS: Final = 60 // GROUP
LAG: Final = 60
"""Minutes before the level looks at a cohort: what falls within them is not absorbed."""

SETTLED, WENT_ON, EXPECTED, ENTERED, SKIPPED = range(5)
"""What the ring holds: the first three by cohort time, the others by the time of entry."""

ROW: Final = np.dtype(
    [
        ("step", np.int32),
        ("born", np.int32),  # first seen
        ("dirty", np.int32),  # last cohort minute in which a drop looked possible: not learnt from
        ("hushed", np.int32),  # last minute in which silence looked possible
        ("cusum", np.float64, len(DROPS)),
        ("limit", np.float64, len(DROPS)),  # what each CUSUM must reach
        ("since", np.int32, len(DROPS)),  # first cohort minute after the CUSUM was last 0
        ("gathered", np.float64, (len(DROPS), 3)),  # settled, went on, expected since then
        ("quiet", np.float64),  # CUSUM of silence
        ("quiet_since", np.int32),
        ("pad", np.int32),  # every byte has a name: equal states are equal bytes
        ("quiet_entered", np.float64),
        ("quiet_expected", np.float64),
        ("base", np.float64),  # expected rate of the step, before any level
        ("gain", np.float64),  # what that is multiplied by: ratio, own level, level of the step
        ("ratio", np.float64),  # a segment's rate against its step's; 1 for the whole
        ("level", np.float64),  # how the last hours compare with what is usual
        ("margin", np.float64),
        ("doubt", np.float64),  # variance of the level
        ("trend", np.float64),  # the level of the last day or so: what an hour's counts are freed of
        ("rate", np.float64),  # entrants expected per minute
        ("sure", np.float64),  # of these, the share that comes whatever the clock says exactly
        ("flow", np.float64),  # how arrivals of the last hours compare, at most 1
        ("flow_k", np.float64),
        ("flow_e", np.float64),
        ("entrants", np.float64),  # of some past weeks, decayed; also what they had at stake and who skipped
        ("value_e4", np.float64),
        ("skippers", np.float64),
        ("watched", np.float64),  # minutes in which they came
        ("tested", np.uint8),
        ("heard", np.uint8),  # tested for silence
        ("pad2", np.uint16),
        ("pad3", np.int32),
        ("went", np.float32, 24),  # segments: who went on, by hour of day
        ("expected", np.float32, 24),  # and who was expected to by their step's rate
        ("ring", np.float32, (5, SLOTS)),
    ],
    align=True,
)

STEP: Final = np.dtype(
    [
        ("whole", np.int32),  # its row with everybody in it
        ("horizon", np.int32),  # index into HORIZONS_MINUTES; -1 while it is being learnt
        ("known", np.int32),  # first cohort minute with that horizon
        ("fired", np.int32),  # last cohort minute in which an episode was firing
        ("warm", np.float64, (2, len(HORIZONS_MINUTES))),  # settled, went on
        ("n", np.float32, HOURS),  # settled by hour of week, times the level of their hour
        ("k", np.float32, HOURS),  # went on
        ("x", np.float32, HOURS),  # how often the hour was learnt
        ("a", np.float32, (HOURS, QUARTERS)),  # entered
        ("ax", np.float32, HOURS),
        ("hushed_days", np.int32, 24),  # how often in a row this hour of day, or of week, looked silent
        ("hushed_weeks", np.int32, HOURS),
        ("phi", np.float64),  # over-dispersion of who goes on, at least 1
        ("phi_sum", np.float64),
        ("phi_weight", np.float64),
        ("burst", np.float64),  # over-dispersion of arrivals, at least 1
        ("burst_sum", np.float64),
        ("burst_weight", np.float64),
        ("wander", np.float64),  # of this hour: its variance beyond chance against what levels should leave
        ("strayed", np.float64, 24),  # the same by hour of day: variance found, and expected
        ("straying", np.float64, 24),
        ("strays", np.float64, 24),  # and how many days are in it
        ("pending", np.float64, (2, 2)),  # the last two hours' of both: an episode may yet take them back
    ],
    align=True,
)
