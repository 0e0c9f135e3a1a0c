"""Pure decisions on batches: no bytewax, no Kafka, no clock, no environment."""
