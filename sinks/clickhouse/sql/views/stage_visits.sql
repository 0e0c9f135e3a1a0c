-- A stay that has ended is told by the transition that ended it; the stay in which a session stands
-- (or stood when it ended) is told by the session. So no stay is written twice.
CREATE OR REPLACE VIEW bi.stage_visits
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `journey` String COMMENT 'Name of the journey definition',
    `journey_version` UInt16 COMMENT 'Its version; never sum across versions',
    `visitor_id` String COMMENT 'Device or browser',
    `person_id` String COMMENT 'Known person; the visitor as long as nobody is known',
    `session_id` String COMMENT 'Hex text of the 128-bit session id',
    `stage` String COMMENT 'Stage of the journey',
    `rank` UInt8 COMMENT 'Its place in the journey, from 1',
    `entered_at` DateTime('UTC') COMMENT 'When the stage was entered',
    `left_at` Nullable(DateTime('UTC')) COMMENT 'When it was left; none while open',
    `deadline_at` Nullable(DateTime('UTC')) COMMENT 'When the stay counts as abandoned; none without a timer',
    `left_by` String COMMENT 'advanced, regressed, abandoned, converted or open',
    `settled` UInt8 COMMENT '1 when what became of it can no longer change',
    `seconds` Float64 COMMENT 'Time in the stage; while open, up to the last event (censored: report apart)',
    `device` String COMMENT 'Kind of device at entry, empty when not known',
    `channel` String COMMENT 'Marketing channel at entry, empty when not known',
    `source` String COMMENT 'Campaign source at entry, empty when not known',
    `medium` String COMMENT 'Campaign medium at entry, empty when not known',
    `campaign` String COMMENT 'Campaign name at entry, empty when not known',
    `country` String COMMENT 'Country code at entry, empty when not known',
    `stored_time` DateTime('UTC') COMMENT 'Sorting key of the stored row (end of the stay, or start of the session): filter generously to read less'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    journey,
    journey_version,
    visitor_id,
    person_id,
    lower(hex(session_id)) AS session_id,
    from_stage AS stage,
    from_rank AS rank,
    toDateTime(from_entered_at, 'UTC') AS entered_at,
    toNullable(time) AS left_at,
    if(toUnixTimestamp64Milli(from_deadline_at) = 0, NULL, toDateTime(from_deadline_at, 'UTC')) AS deadline_at,
    if(kind = 'regress', 'regressed', 'advanced') AS left_by,
    toUInt8(1) AS settled,
    (toUnixTimestamp64Milli(at) - toUnixTimestamp64Milli(from_entered_at)) / 1000 AS seconds,
    from_device AS device,
    from_channel AS channel,
    from_source AS source,
    from_medium AS medium,
    from_campaign AS campaign,
    from_country AS country,
    time AS stored_time
FROM
(
    SELECT
        site, journey, journey_version, visitor_id, person_id, session_id, from_stage, from_rank, from_entered_at,
        from_deadline_at, at, time, kind,
        from_device, from_channel, from_source, from_medium, from_campaign, from_country
    FROM pathline.transitions FINAL
    WHERE from_stage != ''
)
UNION ALL
SELECT
    s.site AS site,
    s.journey AS journey,
    s.journey_version AS journey_version,
    s.visitor_id AS visitor_id,
    s.person_id AS person_id,
    lower(hex(s.session_id)) AS session_id,
    s.visit_stage AS stage,
    s.visit_rank AS rank,
    toDateTime(s.visit_entered_at, 'UTC') AS entered_at,
    if(left_by = 'open', NULL, toDateTime(s.visit_left_at, 'UTC')) AS left_at,
    if(toUnixTimestamp64Milli(s.visit_deadline_at) = 0, NULL, toDateTime(s.visit_deadline_at, 'UTC')) AS deadline_at,
    -- Where the session is over short of the conversion, its carts, checkouts and payments may yet say otherwise.
    multiIf(
        s.visit_left_by != 'abandoned', s.visit_left_by,
        c.chains_won > 0, 'converted',
        c.chains_open > 0, 'open',
        'abandoned'
    ) AS left_by,
    toUInt8(left_by != 'open') AS settled,
    (
        toUnixTimestamp64Milli(if(toUnixTimestamp64Milli(s.visit_left_at) = 0, s.ended_at, s.visit_left_at))
        - toUnixTimestamp64Milli(s.visit_entered_at)
    ) / 1000 AS seconds,
    s.visit_device AS device,
    s.visit_channel AS channel,
    s.visit_source AS source,
    s.visit_medium AS medium,
    s.visit_campaign AS campaign,
    s.visit_country AS country,
    s.time AS stored_time
FROM
(
    SELECT
        site, visitor_id, person_id, session_id, ended_at, time, journey, journey_version,
        visit_stage, visit_rank, visit_entered_at, visit_left_at, visit_deadline_at, visit_left_by, visit_settled,
        visit_device, visit_channel, visit_source, visit_medium, visit_campaign, visit_country
    FROM pathline.sessions FINAL
    ARRAY JOIN
        journeys.journey AS journey,
        journeys.journey_version AS journey_version,
        journeys.visit_stage AS visit_stage,
        journeys.visit_rank AS visit_rank,
        journeys.visit_entered_at AS visit_entered_at,
        journeys.visit_left_at AS visit_left_at,
        journeys.visit_deadline_at AS visit_deadline_at,
        journeys.visit_left_by AS visit_left_by,
        journeys.visit_settled AS visit_settled,
        journeys.visit_device AS visit_device,
        journeys.visit_channel AS visit_channel,
        journeys.visit_source AS visit_source,
        journeys.visit_medium AS visit_medium,
        journeys.visit_campaign AS visit_campaign,
        journeys.visit_country AS visit_country
    WHERE visit_stage != ''
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
COMMENT 'One row per stay in a stage: those that have ended and the one in which each session stands'
