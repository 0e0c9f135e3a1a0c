-- Every accepted event, where a run is told to keep them (--store-events); else it stays empty.
-- Sorted for what is asked of single events: all that one visitor did, in order. An order, a cart or an account
-- lies anywhere in that order, but in few granules: their indexes leave out nearly all others.
CREATE TABLE IF NOT EXISTS pathline.events
(
    `site` LowCardinality(String),
    `visitor_id` String,
    `event_at` DateTime64(3, 'UTC') CODEC(Delta, LZ4),
    `received_at` Nullable(DateTime64(3, 'UTC')),
    `event` LowCardinality(String),
    `event_id` String,
    `user_id` String,
    `url` String CODEC(ZSTD(1)),
    `referrer` String CODEC(ZSTD(1)),
    `device` LowCardinality(String),
    `channel` LowCardinality(String),
    `source` LowCardinality(String),
    `medium` LowCardinality(String),
    `campaign` LowCardinality(String),
    `country` LowCardinality(String),
    `cart_id` String,
    `order_id` String,
    `products` Array(String),
    `quantity` Int64,
    `value_e4` Int64,
    `currency` LowCardinality(String),
    `passive` Bool,
    `properties` String CODEC(ZSTD(1)),
    `flags` UInt8,
    `input` LowCardinality(String),
    `partition` Int32,
    `position` Int64,
    `written_at` DateTime('UTC') DEFAULT now(),
    INDEX by_order order_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_cart cart_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_user user_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(event_at)
ORDER BY (site, visitor_id, event_at, input, partition, position)
COMMENT 'Accepted events with all their fields; final when they appear'
