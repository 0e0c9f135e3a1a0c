CREATE OR REPLACE VIEW bi.split_visitors
(
    `site` String COMMENT 'Shop or app',
    `visitor_id` String COMMENT 'Device or browser',
    `partitions` Array(String) COMMENT 'Partitions of the source in which the visitor had sessions',
    `sessions` UInt64 COMMENT 'Sessions in all of them: what one visit was may be several',
    `first_at` DateTime('UTC') COMMENT 'When the first of these sessions started',
    `last_at` DateTime('UTC') COMMENT 'When the last of these sessions ended'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    s.site AS site,
    s.visitor_id AS visitor_id,
    arrayMap(number -> toString(number), arraySort(groupUniqArray(s.partition))) AS partitions,
    uniqExact(s.session_id) AS sessions,
    toDateTime(min(s.started_at), 'UTC') AS first_at,
    toDateTime(max(s.ended_at), 'UTC') AS last_at
FROM pathline.sessions AS s
GROUP BY site, visitor_id
HAVING length(partitions) > 1
COMMENT 'Visitors whose records lie in several partitions, each with sessions of its own: empty when the topic is partitioned by visitor'
