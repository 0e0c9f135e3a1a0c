CREATE OR REPLACE VIEW bi.late_events
(
    `reason` String COMMENT 'Why it was set aside',
    `source` String COMMENT 'Topic or file',
    `partition` Int32 COMMENT 'Partition of the source',
    `position` Int64 COMMENT 'Kafka offset, or line number from 1',
    `event_at` Nullable(DateTime('UTC')) COMMENT 'When it happened, where that could be read',
    `received_at` Nullable(DateTime('UTC')) COMMENT 'When a server received it, where known',
    `payload` String COMMENT 'The record as text; bytes that are not UTF-8 are replaced',
    `headers` String COMMENT 'Headers of the message: a JSON list of [name, value], empty without'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    reason,
    source,
    partition,
    position,
    toDateTime(e.event_at, 'UTC') AS event_at,
    toDateTime(e.received_at, 'UTC') AS received_at,
    toValidUTF8(e.payload) AS payload,
    headers
FROM pathline.late_events AS e FINAL
COMMENT 'Records that came after their watermark: read them again with: pathline replay --late'
