CREATE OR REPLACE VIEW bi.sessions
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `visitor_id` String COMMENT 'Device or browser',
    `person_id` String COMMENT 'Known person; the visitor as long as nobody is known',
    `session_id` String COMMENT 'Hex text of the 128-bit session id',
    `started_at` DateTime('UTC') COMMENT 'First event; filter on this: it is the sorting key',
    `ended_at` DateTime('UTC') COMMENT 'Last event so far',
    `duration_seconds` Float64 COMMENT 'From the first to the last event',
    `events` UInt32 COMMENT 'Events in the session',
    `entry_url` String COMMENT 'Page of the first event that has one',
    `exit_url` String COMMENT 'Page of the last event that has one',
    `orders` UInt32 COMMENT 'Orders placed in the session',
    `value` Decimal(38, 4) COMMENT 'Value of these orders, in currency',
    `currency` String COMMENT 'ISO code of the value; never sum across currencies',
    `device` String COMMENT 'Kind of device, empty when not known',
    `channel` String COMMENT 'Marketing channel, empty when not known',
    `source` String COMMENT 'Campaign source, empty when not known',
    `medium` String COMMENT 'Campaign medium, empty when not known',
    `campaign` String COMMENT 'Campaign name, empty when not known',
    `country` String COMMENT 'Country code, empty when not known',
    `is_bot` UInt8 COMMENT '1 when the visitor looks like a machine',
    `time` DateTime('UTC') COMMENT 'The same as started_at',
    `is_continuation` UInt8 COMMENT '1 when it began because the one before reached the longest length allowed',
    `is_closed` UInt8 COMMENT '1 when no further event can join it'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    s.site AS site,
    s.visitor_id AS visitor_id,
    s.person_id AS person_id,
    lower(hex(s.session_id)) AS session_id,
    s.time AS started_at,
    toDateTime(s.ended_at, 'UTC') AS ended_at,
    (toUnixTimestamp64Milli(s.ended_at) - toUnixTimestamp64Milli(s.started_at)) / 1000 AS duration_seconds,
    s.events AS events,
    s.entry_url AS entry_url,
    s.exit_url AS exit_url,
    toUInt32(o.orders) AS orders,
    toDecimal128(o.value_e4, 4) / 10000 AS value,
    o.currency AS currency,
    s.device AS device,
    s.channel AS channel,
    s.source AS source,
    s.medium AS medium,
    s.campaign AS campaign,
    s.country AS country,
    toUInt8(s.is_bot) AS is_bot,
    s.time AS time,
    toUInt8(s.is_continuation) AS is_continuation,
    toUInt8(s.is_closed) AS is_closed
FROM (SELECT * FROM pathline.sessions FINAL) AS s
LEFT JOIN
(
    -- Of the orders of a session, the value of those in the currency of the first: no sum across currencies.
    SELECT
        session_id,
        count() AS orders,
        argMin(currency, (at, order_id)) AS currency,
        arraySum(arrayMap((v, c) -> if(c = currency, v, 0), groupArray(value_e4), groupArray(currencies))) AS value_e4
    FROM (SELECT session_id, at, order_id, value_e4, currency, currency AS currencies FROM pathline.orders FINAL WHERE session_id != toFixedString('', 16))
    GROUP BY session_id
) AS o ON s.session_id = o.session_id
COMMENT 'One row per session, without any journey in it: counts and revenue are safe to add up'
