"""The alert lab: simulated weeks of minute counters, incidents put into them, and what a detector made of it.

The weeks are made of single shoppers who come, hesitate and go on, one by one. Nothing here knows how the
detector sees the world: no table by hour of week, no binomial around it. So a score says something.
"""
