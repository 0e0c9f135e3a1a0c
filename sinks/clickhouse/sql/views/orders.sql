CREATE OR REPLACE VIEW bi.orders
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `order_id` String COMMENT 'The shop''s id of the order; the event''s where it gave none',
    `visitor_id` String COMMENT 'Device or browser that ordered',
    `person_id` String COMMENT 'Known person; the visitor as long as nobody is known',
    `session_id` String COMMENT 'Session in which it was placed, hex text; empty where a server reported it or it came late',
    `at` DateTime('UTC') COMMENT 'When it was placed; filter on this: it is the sorting key',
    `value` Decimal(38, 4) COMMENT 'Its value, in currency',
    `currency` String COMMENT 'ISO code; never sum across currencies',
    `products` Array(String) COMMENT 'Product ids',
    `order_number` UInt64 COMMENT 'The how-manyth order of the person it is, from 1',
    `refunded` Decimal(38, 4) COMMENT 'Of the value, what refunds and cancellations took back',
    `device` String COMMENT 'Kind of device, empty when not known',
    `channel` String COMMENT 'Marketing channel, empty when not known',
    `source` String COMMENT 'Campaign source, empty when not known',
    `medium` String COMMENT 'Campaign medium, empty when not known',
    `campaign` String COMMENT 'Campaign name, empty when not known',
    `country` String COMMENT 'Country code, empty when not known',
    `time` DateTime('UTC') COMMENT 'The same as at',
    `event_id` String COMMENT 'The event that placed it',
    `cart_id` String COMMENT 'The shop''s id of the cart, empty when not known',
    `is_late` UInt8 COMMENT '1 when its record came after the watermark',
    `is_cancelled` UInt8 COMMENT '1 when it was cancelled'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    b.site AS site,
    b.order_id AS order_id,
    b.visitor_id AS visitor_id,
    b.person_id AS person_id,
    if(b.session_id = toFixedString('', 16), '', lower(hex(b.session_id))) AS session_id,
    b.time AS at,
    toDecimal128(b.value_e4, 4) / 10000 AS value,
    b.currency AS currency,
    b.products AS products,
    row_number() OVER (PARTITION BY b.site, b.person_id ORDER BY b.placed_at, b.order_id) AS order_number,
    toDecimal128(multiIf(c.is_whole, b.value_e4, least(c.taken_e4, b.value_e4)), 4) / 10000 AS refunded,
    b.device AS device,
    b.channel AS channel,
    b.source AS source,
    b.medium AS medium,
    b.campaign AS campaign,
    b.country AS country,
    b.time AS time,
    b.event_id AS event_id,
    b.cart_id AS cart_id,
    toUInt8(b.is_late) AS is_late,
    toUInt8(c.is_cancelled) AS is_cancelled
FROM (SELECT *, pathline.orders.at AS placed_at FROM pathline.orders FINAL) AS b
LEFT JOIN
(
    -- A refund that two partitions brought is one: the first in order.
    SELECT
        site,
        order_id,
        max(kind = 'cancelled' OR change_e4 = 0) AS is_whole,
        max(kind = 'cancelled') AS is_cancelled,
        sum(change_e4) AS taken_e4
    FROM
    (
        SELECT site, order_id, change_id, argMin(kind, (at, partition, position)) AS kind, argMin(value_e4, (at, partition, position)) AS change_e4
        FROM pathline.order_changes FINAL
        GROUP BY site, order_id, change_id
    )
    GROUP BY site, order_id
) AS c ON b.site = c.site AND b.order_id = c.order_id
COMMENT 'One row per order, however often it was reported'
