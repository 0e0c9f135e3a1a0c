"""Kafka out: what happens is told on topics, as JSON for people and programs."""
