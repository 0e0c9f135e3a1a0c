-- From raw lines to admitted records: what can be an event, when it happened, and whether it came twice or late.
-- All of this is decided per partition, in the order of its positions. Times are milliseconds, money 1/10,000.

-- A record needs a time, a name and a visitor; what cannot be an event moves no watermark.
CREATE TABLE records ENGINE = Memory AS
WITH
    parseDateTime64BestEffortOrNull(JSONExtractString(line, 'event_at'), 3, 'UTC') AS stated,
    parseDateTime64BestEffortOrNull(JSONExtractString(line, 'received_at'), 3, 'UTC') AS received,
    toUnixTimestamp64Milli(assumeNotNull(stated)) AS stated_at,
    ifNull(toUnixTimestamp64Milli(received), stated_at) AS received_at
SELECT
    partition,
    position,
    -- A clock more than five minutes ahead of the server's is not believed.
    if(stated_at > received_at + 5 * 60000, received_at, stated_at) AS event_at,
    least(event_at, received_at) AS seen_at, -- one fast clock makes nobody else late
    JSONExtractString(line, 'event') AS event,
    JSONExtractString(line, 'site') AS site,
    JSONExtractString(line, 'visitor_id') AS visitor_id,
    JSONExtractString(line, 'event_id') AS stated_id,
    if(stated_id = '', concat(toString(partition), ':', toString(position)), stated_id) AS event_id,
    JSONExtractString(line, 'cart_id') AS cart_id,
    JSONExtractString(line, 'order_id') AS order_id,
    JSONExtract(line, 'products', 'Array(String)') AS products,
    toInt64(round(greatest(JSONExtractFloat(line, 'value'), 0) * 10000)) AS value,
    JSONExtractString(line, 'currency') AS currency,
    JSONExtractBool(line, 'passive') AS passive
FROM raw
WHERE isValidJSON(line) AND stated IS NOT NULL AND event != '' AND visitor_id != '';

-- The watermark that a record meets: the highest time of those before it in its partition, less 10 s.
CREATE TABLE timed ENGINE = Memory AS
SELECT
    *,
    max(seen_at) OVER (
        PARTITION BY partition ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) - 10000 AS watermark
FROM records;

-- The same id of the same visitor again, until the watermark is 10 min past the time of the first: a duplicate.
-- After that the id is new again, and its record becomes the first; hence a fold over the copies in their order.
CREATE TABLE duplicates ENGINE = Memory AS
SELECT
    partition,
    arrayJoin(arrayFold(
        (state, copy) -> if(
            state.1 > 0 AND copy.3 <= state.1 + 600000,
            (state.1, arrayPushBack(state.2, copy.1)),
            (copy.2, state.2)
        ),
        arraySort(groupArray((position, event_at, watermark))), -- 1 position, 2 event_at, 3 watermark
        (toInt64(0), CAST([], 'Array(Int64)')) -- time of the first, positions of its duplicates
    ).2) AS position
FROM timed
WHERE stated_id != ''
GROUP BY partition, site, visitor_id, stated_id
HAVING count() > 1;

CREATE TABLE admitted ENGINE = Memory AS
SELECT
    *,
    event_at < watermark AS is_late,
    if(is_late, watermark, event_at) AS time -- when it takes effect: a late one when its partition was there
FROM timed
WHERE (partition, position) NOT IN (SELECT partition, position FROM duplicates);

-- The same id by way of another partition: of those on time the first in (event_at, partition, position) stays.
CREATE TABLE copies ENGINE = Memory AS
SELECT
    arrayJoin(arrayFold(
        (state, copy) -> if(
            state.1 > 0 AND copy.1 <= state.1 + 600000,
            (state.1, arrayPushBack(state.2, (copy.2, copy.3))),
            (copy.1, state.2)
        ),
        arraySort(groupArray((event_at, partition, position))), -- 1 event_at, 2 partition, 3 position
        (toInt64(0), CAST([], 'Array(Tuple(Int32, Int64))'))
    ).2) AS place
FROM admitted
WHERE stated_id != '' AND NOT is_late
GROUP BY site, visitor_id, stated_id
HAVING count() > 1;

-- What the visitors did, on time and once.
CREATE TABLE events ENGINE = Memory AS
SELECT * FROM admitted WHERE NOT is_late AND (partition, position) NOT IN (SELECT place FROM copies);
