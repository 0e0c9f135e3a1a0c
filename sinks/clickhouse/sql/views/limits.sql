CREATE OR REPLACE VIEW bi.limits
(
    `limit` String COMMENT 'Which limit: dedup_ids, copy_ids, orders, open_sessions, open_objects or abandoned',
    `place` Int32 COMMENT 'Partition or shard in which it was hit; 0 for those of the whole deployment',
    `hits` UInt64 COMMENT 'How much was forgotten early so far',
    `meaning` String COMMENT 'What that means for the figures',
    `remedy` String COMMENT 'What to do'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT limit, place, hits, meaning, remedy
FROM pathline.limits FINAL
COMMENT 'Limits of memory that were hit: empty when all is well'
