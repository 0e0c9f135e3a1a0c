CREATE OR REPLACE VIEW bi.freshness
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `source` String COMMENT 'Topic or file',
    `partition` Int32 COMMENT 'Partition of the source',
    `watermark` DateTime('UTC') COMMENT 'Everything of this partition before this time has been applied',
    `complete_until` DateTime('UTC') COMMENT 'Everything of all partitions before this time has been applied',
    `lag_seconds` Int64 COMMENT 'How far the watermark is behind now, never below 0',
    `updated_at` DateTime('UTC') COMMENT 'When this row was last written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    source,
    partition,
    toDateTime(f.watermark, 'UTC') AS watermark,
    (SELECT toDateTime(min(l.watermark), 'UTC') FROM pathline.freshness AS l FINAL) AS complete_until,
    greatest(0, toInt64(toUnixTimestamp(now())) - intDiv(toUnixTimestamp64Milli(f.watermark), 1000)) AS lag_seconds,
    toDateTime(f.updated_at, 'UTC') AS updated_at
FROM pathline.freshness AS f FINAL
COMMENT 'How far each source partition has come; what is written before complete_until is final'
