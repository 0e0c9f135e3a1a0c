-- Sorting keys: the site, then the time that dashboards filter on, deterministic identity last.
-- Keys and partitions only from values that never change for a row: FINAL then works within a partition.
-- `written_at` is what retention counts from: replaying old history must not vanish.
CREATE TABLE IF NOT EXISTS pathline.sessions
(
    `site` LowCardinality(String),
    `visitor_id` String,
    `person_id` String,
    `session_id` FixedString(16),
    `started_at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `ended_at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `time` DateTime('UTC') CODEC(Delta, LZ4),
    `events` UInt32,
    `entry_url` String,
    `exit_url` String,
    `orders` UInt32,
    `value_e4` Int64,
    `currency` LowCardinality(String),
    `device` LowCardinality(String),
    `channel` LowCardinality(String),
    `source` LowCardinality(String),
    `medium` LowCardinality(String),
    `campaign` LowCardinality(String),
    `country` LowCardinality(String),
    `is_bot` Bool,
    `is_continuation` Bool,
    `is_closed` Bool,
    `version` UInt32,
    `journeys.journey` Array(LowCardinality(String)),
    `journeys.journey_version` Array(UInt16),
    `journeys.entry_stage` Array(LowCardinality(String)),
    `journeys.furthest_stage` Array(LowCardinality(String)),
    `journeys.furthest_rank` Array(UInt8),
    `journeys.outcome` Array(LowCardinality(String)),
    `journeys.abandoned_stage` Array(LowCardinality(String)),
    `journeys.path` Array(LowCardinality(String)),
    `journeys.value_e4` Array(Int64),
    `journeys.currency` Array(LowCardinality(String)),
    `journeys.visit_stage` Array(LowCardinality(String)),
    `journeys.visit_rank` Array(UInt8),
    `journeys.visit_entered_at` Array(DateTime64(3, 'UTC')),
    `journeys.visit_left_at` Array(DateTime64(3, 'UTC')),
    `journeys.visit_deadline_at` Array(DateTime64(3, 'UTC')),
    `journeys.visit_left_by` Array(LowCardinality(String)),
    `journeys.visit_settled` Array(Bool),
    `journeys.visit_device` Array(LowCardinality(String)),
    `journeys.visit_channel` Array(LowCardinality(String)),
    `journeys.visit_source` Array(LowCardinality(String)),
    `journeys.visit_medium` Array(LowCardinality(String)),
    `journeys.visit_campaign` Array(LowCardinality(String)),
    `journeys.visit_country` Array(LowCardinality(String)),
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(time)
ORDER BY (site, time, visitor_id, session_id)
COMMENT 'A session and where it stands in each session-scoped journey; the highest version holds'
;
CREATE TABLE IF NOT EXISTS pathline.transitions
(
    `site` LowCardinality(String),
    `journey` LowCardinality(String),
    `journey_version` UInt16,
    `visitor_id` String,
    `person_id` String,
    `session_id` FixedString(16),
    `sequence` UInt16,
    `at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `time` DateTime('UTC') CODEC(Delta, LZ4),
    `from_stage` LowCardinality(String),
    `from_rank` UInt8,
    `to_stage` LowCardinality(String),
    `to_rank` UInt8,
    `kind` LowCardinality(String),
    `skipped` LowCardinality(String),
    `event_id` String,
    `value_e4` Int64,
    `currency` LowCardinality(String),
    `device` LowCardinality(String),
    `channel` LowCardinality(String),
    `source` LowCardinality(String),
    `medium` LowCardinality(String),
    `campaign` LowCardinality(String),
    `country` LowCardinality(String),
    `from_entered_at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `from_deadline_at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `from_device` LowCardinality(String),
    `from_channel` LowCardinality(String),
    `from_source` LowCardinality(String),
    `from_medium` LowCardinality(String),
    `from_campaign` LowCardinality(String),
    `from_country` LowCardinality(String),
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (site, journey, journey_version, time, visitor_id, session_id, sequence)
COMMENT 'A change of stage, and the stay that it ended; final when it appears'
;
CREATE TABLE IF NOT EXISTS pathline.funnel_minute
(
    `site` LowCardinality(String),
    `journey` LowCardinality(String),
    `journey_version` UInt16,
    `time` DateTime('UTC') CODEC(Delta, LZ4),
    `stage` LowCardinality(String),
    `rank` SimpleAggregateFunction(max, UInt8),
    `device` LowCardinality(String),
    `channel` LowCardinality(String),
    `currency` LowCardinality(String),
    `shard` UInt16,
    `entered` SimpleAggregateFunction(max, UInt64),
    `advanced` SimpleAggregateFunction(max, UInt64),
    `abandoned` SimpleAggregateFunction(max, UInt64),
    `recovered` SimpleAggregateFunction(max, UInt64),
    `voided` SimpleAggregateFunction(max, UInt64),
    `converted` SimpleAggregateFunction(max, UInt64),
    `value_e4` SimpleAggregateFunction(max, Int64),
    `written_at` SimpleAggregateFunction(max, DateTime('UTC')) DEFAULT now()
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (site, journey, journey_version, time, stage, device, channel, currency, shard)
COMMENT 'Counters of a minute and shard: absolute, each only grows, so the highest of several writes is right'
;
CREATE TABLE IF NOT EXISTS pathline.conservation
(
    `source` LowCardinality(String),
    `partition` Int32,
    `time` DateTime('UTC') CODEC(Delta, LZ4),
    `received` SimpleAggregateFunction(max, UInt64),
    `accepted` SimpleAggregateFunction(max, UInt64),
    `duplicate` SimpleAggregateFunction(max, UInt64),
    `late` SimpleAggregateFunction(max, UInt64),
    `rejected` SimpleAggregateFunction(max, UInt64),
    `filtered` SimpleAggregateFunction(max, UInt64),
    `written_at` SimpleAggregateFunction(max, DateTime('UTC')) DEFAULT now()
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (source, partition, time)
COMMENT 'What became of every record: absolute, each only grows'
;
CREATE TABLE IF NOT EXISTS pathline.unknown_events
(
    `source` LowCardinality(String),
    `partition` Int32,
    `event` LowCardinality(String),
    `events` SimpleAggregateFunction(max, UInt64),
    `written_at` SimpleAggregateFunction(max, DateTime('UTC')) DEFAULT now()
)
ENGINE = AggregatingMergeTree
ORDER BY (source, partition, event)
COMMENT 'Accepted events whose name no running journey asks for: absolute, only grows'
;
CREATE TABLE IF NOT EXISTS pathline.late_events
(
    `reason` LowCardinality(String),
    `source` LowCardinality(String),
    `partition` Int32,
    `position` Int64,
    `event_at` Nullable(DateTime64(3, 'UTC')),
    `received_at` Nullable(DateTime64(3, 'UTC')),
    `payload` String CODEC(ZSTD(1)),
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY (source, partition, position)
COMMENT 'Records that came after their watermark, with their bytes'
;
CREATE TABLE IF NOT EXISTS pathline.rejected_events AS pathline.late_events
ENGINE = ReplacingMergeTree
ORDER BY (source, partition, position)
COMMENT 'Records that cannot be events, with their bytes and the reason'
;
CREATE TABLE IF NOT EXISTS pathline.freshness
(
    `site` LowCardinality(String),
    `source` LowCardinality(String),
    `partition` Int32,
    `watermark` DateTime64(3, 'UTC'),
    `updated_at` DateTime64(3, 'UTC') COMMENT 'wall clock'
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (site, source, partition)
COMMENT 'How far each source partition has come'
