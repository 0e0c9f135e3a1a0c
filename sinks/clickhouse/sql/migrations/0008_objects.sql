-- Objects, what became of them, and orders. Sorted like sessions and transitions: site, definition, time, identity.
CREATE TABLE IF NOT EXISTS pathline.objects
(
    `site` LowCardinality(String),
    `journey` LowCardinality(String),
    `journey_version` UInt16,
    `visitor_id` String,
    `person_id` String,
    `session_id` FixedString(16),
    `object_id` FixedString(16),
    `chain_id` FixedString(16),
    `number` UInt32,
    `kind` LowCardinality(String),
    `stage` LowCardinality(String),
    `rank` UInt8,
    `state` LowCardinality(String),
    `final_state` LowCardinality(String),
    `opened_at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `time` DateTime('UTC') CODEC(Delta, LZ4),
    `deadline_at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `abandoned_at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `resolved_at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `successor_id` FixedString(16),
    `order_id` String,
    `cart_id` String,
    `products` Array(String),
    `value_e4` Int64,
    `currency` LowCardinality(String),
    `device` LowCardinality(String),
    `channel` LowCardinality(String),
    `source` LowCardinality(String),
    `medium` LowCardinality(String),
    `campaign` LowCardinality(String),
    `country` LowCardinality(String),
    `version` UInt32,
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(time)
ORDER BY (site, journey, journey_version, time, visitor_id, object_id)
COMMENT 'A visit''s browsing, a cart, a checkout or a payment, up to its being abandoned; the highest version holds'
;
CREATE TABLE IF NOT EXISTS pathline.participations
(
    `site` LowCardinality(String),
    `journey` LowCardinality(String),
    `journey_version` UInt16,
    `session_id` FixedString(16),
    `time` DateTime('UTC') CODEC(Delta, LZ4),
    `chain_id` FixedString(16),
    `state` LowCardinality(String),
    `stage` LowCardinality(String),
    `rank` UInt8,
    `version` UInt32,
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(time)
ORDER BY (site, journey, journey_version, time, session_id, chain_id)
COMMENT 'Which sessions took part in the life of a cart, a checkout or a payment, and how that ended'
;
CREATE TABLE IF NOT EXISTS pathline.outcomes
(
    `site` LowCardinality(String),
    `journey` LowCardinality(String),
    `journey_version` UInt16,
    `chain_id` FixedString(16),
    `time` DateTime('UTC') CODEC(Delta, LZ4),
    `state` LowCardinality(String),
    `resolved_at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `order_id` String,
    `recovered_value_e4` Int64,
    `currency` LowCardinality(String),
    `is_evicted` Bool,
    `version` UInt32,
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(time)
ORDER BY (site, journey, journey_version, time, chain_id)
COMMENT 'What became of objects after they were abandoned; the highest version holds'
;
CREATE TABLE IF NOT EXISTS pathline.orders
(
    `site` LowCardinality(String),
    `order_id` String,
    `visitor_id` String,
    `person_id` String,
    `session_id` FixedString(16),
    `event_id` String,
    `at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `time` DateTime('UTC') CODEC(Delta, LZ4),
    `value_e4` Int64,
    `currency` LowCardinality(String),
    `products` Array(String),
    `cart_id` String,
    `is_late` Bool,
    `device` LowCardinality(String),
    `channel` LowCardinality(String),
    `source` LowCardinality(String),
    `medium` LowCardinality(String),
    `campaign` LowCardinality(String),
    `country` LowCardinality(String),
    `written_at` DateTime('UTC') DEFAULT now(),
    INDEX by_order order_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (site, time, order_id)
COMMENT 'Orders, once per order_id; final when they appear'
;
CREATE TABLE IF NOT EXISTS pathline.order_changes
(
    `site` LowCardinality(String),
    `order_id` String,
    `change_id` String,
    `partition` Int32,
    `position` Int64,
    `kind` LowCardinality(String),
    `at` DateTime64(3, 'UTC'),
    `value_e4` Int64,
    `currency` LowCardinality(String),
    `is_late` Bool,
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY (site, order_id, change_id, at, partition, position)
COMMENT 'Refunds and cancellations; final when they appear'
