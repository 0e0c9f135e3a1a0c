"""Kafka topics as source partitions."""
