CREATE OR REPLACE VIEW bi.conservation
(
    `time` DateTime('UTC') COMMENT 'Minute of the watermark of the partition before the record',
    `source` String COMMENT 'Topic or file',
    `partition` Int32 COMMENT 'Partition of the source',
    `received` UInt64 COMMENT 'Records read',
    `accepted` UInt64 COMMENT 'Of these, counted as events',
    `duplicate` UInt64 COMMENT 'Of these, the same event again',
    `late` UInt64 COMMENT 'Of these, after their watermark: see bi.late_events',
    `rejected` UInt64 COMMENT 'Of these, not valid: see bi.rejected_events',
    `filtered` UInt64 COMMENT 'Of these, left out by a configured rule',
    `balance` Int64 COMMENT 'received minus the five others: 0 when nothing was lost or counted twice'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    time,
    source,
    partition,
    received,
    accepted,
    duplicate,
    late,
    rejected,
    filtered,
    toInt64(received) - toInt64(accepted + duplicate + late + rejected + filtered) AS balance
FROM pathline.conservation FINAL
COMMENT 'What became of every record, per minute and source partition'
