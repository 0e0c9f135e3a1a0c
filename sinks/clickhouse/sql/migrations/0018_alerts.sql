CREATE TABLE IF NOT EXISTS pathline.alerts
(
    `alert_id` FixedString(16),
    `version` UInt32,
    `journey` LowCardinality(String),
    `journey_version` UInt16,
    `rule` LowCardinality(String),
    `rank` UInt8,
    `stage` LowCardinality(String),
    `scope` String,
    `site` LowCardinality(String),
    `state` LowCardinality(String),
    `time` DateTime('UTC'),
    `detected_at` DateTime('UTC'),
    `resolved_at` DateTime('UTC'),
    `observed` Float64,
    `expected` Float64,
    `low` Float64,
    `high` Float64,
    `entrants` UInt64,
    `lost_orders` Float64,
    `lost_orders_low` Float64,
    `lost_orders_high` Float64,
    `lost_value_e4` Int64,
    `lost_value_low_e4` Int64,
    `lost_value_high_e4` Int64,
    `cause` String,
    `mix` Float64,
    `mix_dimension` LowCardinality(String),
    `unaffected` Array(String),
    `verdict` LowCardinality(String),
    `severity` LowCardinality(String),
    `smallest_drop` Float64,
    `reason` String,
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY (alert_id, version)
COMMENT 'Episodes of drop-off alerts: a row for each change of one'
