CREATE OR REPLACE VIEW bi.session_stages
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `journey` String COMMENT 'Name of the journey definition',
    `journey_version` UInt16 COMMENT 'Its version; never sum across versions',
    `visitor_id` String COMMENT 'Device or browser',
    `person_id` String COMMENT 'Known person; the visitor as long as nobody is known',
    `session_id` String COMMENT 'Hex text of the 128-bit session id',
    `started_at` DateTime('UTC') COMMENT 'First event of the session; filter on this: it is the sorting key',
    `ended_at` DateTime('UTC') COMMENT 'Last event of the session so far',
    `events` UInt32 COMMENT 'Events in the session',
    `entry_stage` String COMMENT 'First stage seen',
    `furthest_stage` String COMMENT 'Furthest stage reached',
    `furthest_rank` UInt8 COMMENT 'Its place in the journey, from 1',
    `outcome` String COMMENT 'open, converted, abandoned, bounced or browsed. Where the journey has objects: open until the carts, checkouts and payments of the session are settled, converted also by an order in a later session',
    `abandoned_stage` String COMMENT 'Stage at which it was abandoned, else empty',
    `path` Array(String) COMMENT 'Stages in the order in which they were entered',
    `value` Decimal(38, 4) COMMENT 'Value converted in this journey, in currency',
    `currency` String COMMENT 'ISO code of the value; never sum across currencies',
    `device` String COMMENT 'Kind of device, empty when not known',
    `channel` String COMMENT 'Marketing channel, empty when not known',
    `source` String COMMENT 'Campaign source, empty when not known',
    `medium` String COMMENT 'Campaign medium, empty when not known',
    `campaign` String COMMENT 'Campaign name, empty when not known',
    `country` String COMMENT 'Country code, empty when not known',
    `time` DateTime('UTC') COMMENT 'The same as started_at',
    `is_bot` UInt8 COMMENT '1 when the visitor looks like a machine'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    s.site AS site,
    s.journey AS journey,
    s.journey_version AS journey_version,
    s.visitor_id AS visitor_id,
    s.person_id AS person_id,
    lower(hex(s.session_id)) AS session_id,
    s.time AS started_at,
    toDateTime(s.ended_at, 'UTC') AS ended_at,
    s.events AS events,
    s.entry_stage AS entry_stage,
    s.furthest_stage AS furthest_stage,
    s.furthest_rank AS furthest_rank,
    multiIf(
        s.own_outcome = 'converted' OR c.chains_won > 0, 'converted',
        s.own_outcome = 'open' OR c.chains_open > 0, 'open',
        c.lost_rank > 0, 'abandoned',
        s.own_outcome
    ) AS outcome,
    if(outcome = 'abandoned', if(c.lost_rank > 0, c.lost_stage, s.own_abandoned_stage), '') AS abandoned_stage,
    if(s.stages = '', [], splitByChar('>', toString(s.stages))) AS path,
    toDecimal128(s.journey_value_e4, 4) / 10000 AS value,
    s.journey_currency AS currency,
    s.device AS device,
    s.channel AS channel,
    s.source AS source,
    s.medium AS medium,
    s.campaign AS campaign,
    s.country AS country,
    s.time AS time,
    toUInt8(s.is_bot) AS is_bot
FROM
(
    SELECT
        site, journey, journey_version, visitor_id, person_id, session_id, time, ended_at, events, entry_stage,
        furthest_stage, furthest_rank, own_outcome, own_abandoned_stage, stages, journey_value_e4, journey_currency,
        device, channel, source, medium, campaign, country, is_bot
    FROM pathline.sessions FINAL
    ARRAY JOIN
        journeys.journey AS journey,
        journeys.journey_version AS journey_version,
        journeys.entry_stage AS entry_stage,
        journeys.furthest_stage AS furthest_stage,
        journeys.furthest_rank AS furthest_rank,
        journeys.outcome AS own_outcome,
        journeys.abandoned_stage AS own_abandoned_stage,
        journeys.path AS stages,
        journeys.value_e4 AS journey_value_e4,
        journeys.currency AS journey_currency
) AS s
LEFT JOIN
(
    -- How the carts, checkouts and payments ended in whose life the session took part.
    SELECT
        p.site AS site, p.journey AS journey, p.journey_version AS journey_version, p.time AS time, p.session_id AS session_id,
        countIf(p.state = 'open') AS chains_open,
        countIf(p.state = 'completed' OR o.state = 'void') AS chains_won,
        maxIf(p.rank, p.state = 'abandoned' AND o.state != 'void') AS lost_rank,
        argMaxIf(p.stage, p.rank, p.state = 'abandoned' AND o.state != 'void') AS lost_stage
    FROM (SELECT * FROM pathline.participations FINAL) AS p
    LEFT JOIN (SELECT site, journey, journey_version, chain_id, state FROM pathline.outcomes FINAL WHERE state = 'void') AS o
        ON p.site = o.site AND p.journey = o.journey AND p.journey_version = o.journey_version AND p.chain_id = o.chain_id
    GROUP BY site, journey, journey_version, time, session_id
) AS c
    ON s.site = c.site AND s.journey = c.journey AND s.journey_version = c.journey_version
        AND s.time = c.time AND s.session_id = c.session_id
COMMENT 'One row per session and session-scoped journey that it entered'
