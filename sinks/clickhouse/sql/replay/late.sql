-- How many late records were how far behind: whole seconds between the watermark that they met and their time, up
-- to a minute too many. The watermark itself is not kept, but the minute that it was in: late records of a partition
-- were counted in the order of their positions, and minutes follow each other. Where records or minutes are gone
-- (retention) a record is taken to be a later one, so that nothing is less behind here than it was.
WITH
    late AS
    (
        SELECT
            source,
            partition,
            toInt64(toUnixTimestamp(event_at)) AS at,
            toInt64(row_number() OVER (PARTITION BY source, partition ORDER BY position)) AS number,
            toInt64(count() OVER (PARTITION BY source, partition)) AS kept
        FROM bi.late_events
    ),
    minutes AS
    (
        SELECT
            source,
            partition,
            toInt64(toUnixTimestamp(time)) AS minute,
            toInt64(sum(c.late) OVER (PARTITION BY source, partition ORDER BY time)) AS until
        FROM bi.conservation AS c
        WHERE c.late > 0
    ),
    partitions AS
    (
        SELECT
            source,
            partition,
            max(toInt64(toUnixTimestamp(time))) AS last_minute,
            toInt64(sum(c.late)) AS counted
        FROM bi.conservation AS c
        GROUP BY source, partition
    ),
    numbered AS
    (
        SELECT
            l.source AS source,
            l.partition AS partition,
            l.at AS at,
            p.last_minute AS last_minute,
            l.number + greatest(0, p.counted - l.kept) AS number
        FROM late AS l
        LEFT JOIN partitions AS p ON l.source = p.source AND l.partition = p.partition
    )
SELECT
    greatest(0, if(m.until > 0, m.minute, n.last_minute) + 60 - n.at) AS behind_seconds,
    count() AS records
FROM numbered AS n
ASOF LEFT JOIN minutes AS m ON n.source = m.source AND n.partition = m.partition AND n.number <= m.until
GROUP BY behind_seconds
ORDER BY behind_seconds
