"""Drop-off spikes: what was expected of a step, and when it is not chance any more."""

from pipeline.core.detect.detector import Detector
from pipeline.core.detect.episodes import Episode
from pipeline.core.detect.minutes import HORIZONS_MINUTES, Minute, Scope
from pipeline.core.detect.settings import Settings

__all__ = ["HORIZONS_MINUTES", "Detector", "Episode", "Minute", "Scope", "Settings"]
