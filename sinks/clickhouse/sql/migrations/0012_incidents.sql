CREATE TABLE IF NOT EXISTS pathline.incidents
(
    `kind` LowCardinality(String),
    `source` LowCardinality(String),
    `partition` Int32,
    `first` Int64,
    `until` Int64,
    `found_at` DateTime64(3, 'UTC'),
    `meaning` LowCardinality(String),
    `remedy` LowCardinality(String),
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY (kind, source, partition, first)
COMMENT 'What happened to a source that its records do not tell'
