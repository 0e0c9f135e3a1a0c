CREATE TABLE IF NOT EXISTS pathline.limits
(
    `limit` LowCardinality(String),
    `place` Int32,
    `hits` SimpleAggregateFunction(max, UInt64),
    `meaning` LowCardinality(String),
    `remedy` LowCardinality(String),
    `written_at` SimpleAggregateFunction(max, DateTime('UTC')) DEFAULT now()
)
ENGINE = AggregatingMergeTree
ORDER BY (limit, place, meaning, remedy)
COMMENT 'Limits that were hit: absolute, only grows'
