"""Minute counters."""
