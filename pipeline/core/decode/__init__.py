"""Bytes to typed batches of events."""
