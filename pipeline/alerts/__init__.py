"""Alerts on their way to people: beside the flow, and outside its law."""
