"""Hypothesis profiles: `ci` by default, `long` and `night` by PATHLINE_PROFILE, for a suspicion or a night.

Compiled kernels are shared with the commands that tests start: each is compiled once.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from pipeline.cli.compiled import keep_compiled

keep_compiled()  # before any test imports numba

pytest_plugins = ("tests.kafka.plugin", "tests.alerts.alertmanager")  # real ones, for whoever asks for them

for profile, examples in {"ci": 40, "long": 2_000, "night": 20_000}.items():
    settings.register_profile(
        profile,
        max_examples=examples,
        deadline=None,  # kernels compile in the first example
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        print_blob=True,
    )
settings.load_profile(os.environ.get("PATHLINE_PROFILE", "ci"))
