CREATE OR REPLACE VIEW bi.unknown_events
(
    `source` String COMMENT 'Topic or file',
    `partition` Int32 COMMENT 'Partition of the source',
    `event` String COMMENT 'Name that no running journey asks for; (other) beyond the first thousand names',
    `events` UInt64 COMMENT 'Accepted events of that name so far'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT source, partition, event, events
FROM pathline.unknown_events FINAL
COMMENT 'Events that enter no stage by their name: a renamed event shows here first'
