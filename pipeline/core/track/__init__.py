"""Sessions, stages and timers of one shard: the law."""
