-- Hours and days are computed from the facts, never counted on the way: whatever was written again, they come out equal.
-- A row is written anew whenever its hour is; the highest generation holds. Zeros stand for a key that has vanished.
CREATE TABLE IF NOT EXISTS pathline.funnel_hour
(
    `site` LowCardinality(String),
    `journey` LowCardinality(String),
    `journey_version` UInt16,
    `time` DateTime('UTC') CODEC(Delta, LZ4),
    `stage` LowCardinality(String),
    `rank` UInt8,
    `device` LowCardinality(String),
    `channel` LowCardinality(String),
    `source` LowCardinality(String),
    `medium` LowCardinality(String),
    `campaign` LowCardinality(String),
    `country` LowCardinality(String),
    `currency` LowCardinality(String),
    `entered` UInt64,
    `advanced` UInt64,
    `abandoned` UInt64,
    `recovered` UInt64,
    `voided` UInt64,
    `converted` UInt64,
    `value_e4` Int64,
    `visitors` AggregateFunction(uniq, UInt64),
    `seconds` AggregateFunction(quantilesDD(0.01, 0.5, 0.9, 0.99), Float64),
    `left` UInt64,
    `oldest_written_at` DateTime('UTC'),
    `as_of` DateTime('UTC'),
    `generation` UInt64
)
ENGINE = ReplacingMergeTree(generation)
PARTITION BY toYYYYMM(time)
ORDER BY (site, journey, journey_version, time, stage, device, channel, source, medium, campaign, country, currency)
COMMENT 'What occurred in each hour at each stage, recomputed from the facts whenever these have changed'
;
CREATE TABLE IF NOT EXISTS pathline.funnel_day AS pathline.funnel_hour
ENGINE = ReplacingMergeTree(generation)
PARTITION BY toYYYYMM(time)
ORDER BY (site, journey, journey_version, time, stage, device, channel, source, medium, campaign, country, currency)
COMMENT 'The same by day, from the hours'
;
-- Which hours have changed is asked of when rows were written, every few minutes.
ALTER TABLE pathline.transitions ADD INDEX IF NOT EXISTS by_written_at written_at TYPE minmax GRANULARITY 4
;
ALTER TABLE pathline.sessions ADD INDEX IF NOT EXISTS by_written_at written_at TYPE minmax GRANULARITY 4
;
ALTER TABLE pathline.objects ADD INDEX IF NOT EXISTS by_written_at written_at TYPE minmax GRANULARITY 4
;
ALTER TABLE pathline.outcomes ADD INDEX IF NOT EXISTS by_written_at written_at TYPE minmax GRANULARITY 4
