"""Logs states as segments from 2 KiB on: a chaos run has too little state for the usual 4 MiB.

Every Python that has this folder on its path imports this by itself.
"""

from pipeline.cli.compiled import keep_compiled

keep_compiled()  # before anything imports numba

from pipeline.runtime import segments  # noqa: E402

segments.LOG_FROM_BYTES = 2 << 10
