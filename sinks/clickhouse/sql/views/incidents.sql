CREATE OR REPLACE VIEW bi.incidents
(
    `kind` String COMMENT 'What happened: lost_records or partition_added',
    `source` String COMMENT 'Topic that it happened to',
    `partition` Int32 COMMENT 'Partition of the topic',
    `first` Int64 COMMENT 'Offset of the first record concerned',
    `until` Int64 COMMENT 'Offset after the last record concerned',
    `records` Int64 COMMENT 'Offsets between them: at most so many records',
    `found_at` DateTime64(3, 'UTC') COMMENT 'When it was found, by the clock of the pipeline',
    `meaning` String COMMENT 'What that means for the figures',
    `remedy` String COMMENT 'What to do'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT kind, source, partition, first, until, until - first AS records, found_at, meaning, remedy
FROM pathline.incidents FINAL
COMMENT 'What happened to a source that its records do not tell: empty when all is well'
