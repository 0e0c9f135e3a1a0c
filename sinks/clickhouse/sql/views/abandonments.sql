-- What `track` knows of an object, and what `follow` found out about its chain after it was abandoned.
CREATE OR REPLACE VIEW bi.abandonments
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `journey` String COMMENT 'Name of the journey definition',
    `journey_version` UInt16 COMMENT 'Its version; never sum across versions',
    `visitor_id` String COMMENT 'Device or browser',
    `person_id` String COMMENT 'Known person at the last activity; the visitor as long as nobody is known',
    `session_id` String COMMENT 'Session that opened it, hex text',
    `object_id` String COMMENT 'Hex text; one row per object, whatever became of it',
    `kind` String COMMENT 'browse, cart, checkout or payment',
    `stage` String COMMENT 'Stage of the journey that it stands for',
    `state` String COMMENT 'open, at_risk, completed, withdrawn, superseded, abandoned, recovered, expired or void (a late order shows that it never was abandoned)',
    `final_state` String COMMENT 'State of the last in its chain of successors: a cart that became an order is completed. Count by this',
    `opened_at` DateTime('UTC') COMMENT 'First event; filter on this: it is the sorting key',
    `deadline_at` Nullable(DateTime('UTC')) COMMENT 'Abandoned without activity until then; none for browsing, which ends with its session',
    `abandoned_at` Nullable(DateTime('UTC')) COMMENT 'When that happened; none otherwise',
    `resolved_at` Nullable(DateTime('UTC')) COMMENT 'When it got its state: order, withdrawal, successor, deadline, recovery; none while open, unless it was forgotten then',
    `successor_id` String COMMENT 'object_id of what superseded it, else empty',
    `products` Array(String) COMMENT 'Product ids in it, at most 16',
    `value_at_risk` Decimal(38, 4) COMMENT 'Its value, in currency',
    `recovered_value` Decimal(38, 4) COMMENT 'Value of the order that recovered it, in recovered_currency',
    `currency` String COMMENT 'ISO code; never sum across currencies',
    `device` String COMMENT 'Kind of device that opened it, empty when not known',
    `channel` String COMMENT 'Marketing channel, empty when not known',
    `source` String COMMENT 'Campaign source, empty when not known',
    `medium` String COMMENT 'Campaign medium, empty when not known',
    `campaign` String COMMENT 'Campaign name, empty when not known',
    `country` String COMMENT 'Country code, empty when not known',
    `time` DateTime('UTC') COMMENT 'The same as opened_at',
    `rank` UInt8 COMMENT 'Place of the stage in the journey, from 1',
    `chain_id` String COMMENT 'object_id of the first in its chain',
    `cart_id` String COMMENT 'The shop''s id of the cart, empty when not known',
    `order_id` String COMMENT 'Order that completed or recovered it, or made it void; else empty',
    `recovered_currency` String COMMENT 'ISO code of recovered_value',
    `is_evicted` UInt8 COMMENT '1 when too many were remembered: an open one was forgotten (and stays open), an abandoned one expired early'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    b.site AS site,
    b.journey AS journey,
    b.journey_version AS journey_version,
    b.visitor_id AS visitor_id,
    b.person_id AS person_id,
    lower(hex(b.session_id)) AS session_id,
    lower(hex(b.object_id)) AS object_id,
    b.kind AS kind,
    b.stage AS stage,
    multiIf(b.state = 'forgotten', 'open', b.state = 'abandoned' AND o.version > 0, o.state, b.state) AS state,
    multiIf(b.final_state = 'forgotten', 'open', b.final_state = 'abandoned' AND o.version > 0, o.state, b.final_state) AS final_state,
    b.time AS opened_at,
    if(toUnixTimestamp64Milli(b.deadline_at) = 0, NULL, toDateTime(b.deadline_at, 'UTC')) AS deadline_at,
    if(toUnixTimestamp64Milli(b.abandoned_at) = 0, NULL, toDateTime(b.abandoned_at, 'UTC')) AS abandoned_at,
    multiIf(
        b.state = 'abandoned' AND o.version > 0, toDateTime(o.resolved_at, 'UTC'),
        toUnixTimestamp64Milli(b.resolved_at) = 0, NULL,
        toDateTime(b.resolved_at, 'UTC')
    ) AS resolved_at,
    if(b.state = 'superseded', lower(hex(b.successor_id)), '') AS successor_id,
    b.products AS products,
    toDecimal128(b.value_e4, 4) / 10000 AS value_at_risk,
    if(b.state = 'abandoned', toDecimal128(o.recovered_value_e4, 4), toDecimal128(0, 4)) / 10000 AS recovered_value,
    b.currency AS currency,
    b.device AS device,
    b.channel AS channel,
    b.source AS source,
    b.medium AS medium,
    b.campaign AS campaign,
    b.country AS country,
    b.time AS time,
    b.rank AS rank,
    lower(hex(b.chain_id)) AS chain_id,
    b.cart_id AS cart_id,
    if(b.state = 'abandoned', o.order_id, b.order_id) AS order_id,
    if(b.state = 'abandoned', o.currency, '') AS recovered_currency,
    toUInt8(b.final_state = 'forgotten' OR (b.state = 'abandoned' AND o.is_evicted)) AS is_evicted
FROM (SELECT * FROM pathline.objects FINAL) AS b
LEFT JOIN
(
    SELECT site, journey, journey_version, chain_id, state, resolved_at, order_id, recovered_value_e4, currency, is_evicted, version
    FROM pathline.outcomes FINAL
) AS o
    ON b.site = o.site AND b.journey = o.journey AND b.journey_version = o.journey_version AND b.chain_id = o.chain_id
COMMENT 'One row per object that shows intent (browsing, cart, checkout, payment), whatever became of it'
