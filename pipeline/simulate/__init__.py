"""A seeded stream of shoppers, each with a story that it tells to the end.

Every event says in `properties.story` which story it belongs to, so that a test can check what the pipeline
made of that shopper. A shopper is a pure function of seed, number and time of arrival: nothing about one
depends on another, and one whose next visit lies far ahead is not kept in memory but told again when it
is due. Same settings, same bytes; time comes in as numbers, so a caller writes a file or plays it live.
"""

from pipeline.simulate.stream import SHARES, Settings, simulate, story_of, tell

__all__ = ["SHARES", "Settings", "simulate", "story_of", "tell"]
