-- What occurred in the hours that are due. Like the minutes, with two differences that make an hour final once its
-- facts are: an abandonment that is taken back counts in the hour that it takes it from, and a stay that ended with
-- its session is abandoned at the session's last event, not when the session closed.
CREATE OR REPLACE VIEW pathline.funnel_hour_due
AS WITH
    (SELECT max(f.generation) + 1 FROM pathline.funnel_hour AS f) AS next,
    toDateTime(0, 'UTC') AS never
SELECT
    site,
    journey,
    journey_version,
    hour AS time,
    stage,
    max(o.rank) AS rank,
    device,
    channel,
    source,
    medium,
    campaign,
    country,
    currency,
    countIf(what = 'entered') AS entered,
    countIf(what = 'advanced') AS advanced,
    countIf(what = 'abandoned') AS abandoned,
    countIf(what = 'recovered') AS recovered,
    countIf(what = 'voided') AS voided,
    countIf(what = 'converted') AS converted,
    sumIf(o.value_e4, what = 'converted') AS value_e4,
    uniqStateIf(cityHash64(visitor_id), what = 'entered') AS visitors,
    quantilesDDStateIf(0.01, 0.5, 0.9, 0.99)(o.seconds, what IN ('advanced', 'regressed')) AS seconds,
    countIf(what IN ('advanced', 'regressed')) AS left,
    min(o.written_at) AS oldest_written_at,
    now('UTC') AS as_of,
    next AS generation
FROM
(
    SELECT
        site, journey, journey_version, toStartOfHour(time) AS hour, to_stage AS stage, to_rank AS rank,
        device, channel, source, medium, campaign, country, '' AS currency,
        'entered' AS what, 0 AS value_e4, visitor_id, 0. AS seconds, written_at
    FROM pathline.transitions FINAL
    WHERE toStartOfHour(time) IN (SELECT hour FROM pathline.hours_due)
    UNION ALL
    SELECT
        site, journey, journey_version, toStartOfHour(time) AS hour, from_stage AS stage, from_rank AS rank,
        from_device, from_channel, from_source, from_medium, from_campaign, from_country, '' AS currency,
        if(kind = 'regress', 'regressed', 'advanced') AS what, 0 AS value_e4, visitor_id,
        (toUnixTimestamp64Milli(at) - toUnixTimestamp64Milli(from_entered_at)) / 1000 AS seconds, written_at
    FROM pathline.transitions FINAL
    WHERE from_stage != '' AND toStartOfHour(time) IN (SELECT hour FROM pathline.hours_due)
    UNION ALL
    SELECT
        t.site AS site, t.journey AS journey, t.journey_version AS journey_version, toStartOfHour(t.time) AS hour,
        t.to_stage AS stage, t.to_rank AS rank, t.device AS device, t.channel AS channel, t.source AS source,
        t.medium AS medium, t.campaign AS campaign, t.country AS country, t.currency AS currency,
        'converted' AS what, t.value_e4 AS value_e4, t.visitor_id AS visitor_id, 0. AS seconds,
        t.written_at AS written_at
    FROM (SELECT * FROM pathline.transitions FINAL WHERE toStartOfHour(time) IN (SELECT hour FROM pathline.hours_due)) AS t
    WHERE t.kind IN ('enter', 'advance', 'skip')
        AND (t.journey, t.journey_version, t.to_rank) IN (
            SELECT journey, journey_version, rank FROM pathline.stages FINAL WHERE is_conversion
        )
    UNION ALL
    -- A timer had fired before the stay was left: it was abandoned then, and recovered if the way went on.
    SELECT
        site, journey, journey_version, toDateTime(toStartOfHour(from_deadline_at), 'UTC') AS hour,
        from_stage AS stage, from_rank AS rank,
        from_device, from_channel, from_source, from_medium, from_campaign, from_country, '' AS currency,
        'abandoned' AS what, 0 AS value_e4, visitor_id, 0. AS seconds, written_at
    FROM pathline.transitions FINAL
    WHERE from_deadline_at != never AND from_deadline_at < at
        AND toStartOfHour(from_deadline_at) IN (SELECT hour FROM pathline.hours_due)
    UNION ALL
    SELECT
        site, journey, journey_version, toStartOfHour(time) AS hour, from_stage AS stage, from_rank AS rank,
        from_device, from_channel, from_source, from_medium, from_campaign, from_country, '' AS currency,
        'recovered' AS what, 0 AS value_e4, visitor_id, 0. AS seconds, written_at
    FROM pathline.transitions FINAL
    WHERE from_deadline_at != never AND from_deadline_at < at AND kind != 'regress'
        AND toStartOfHour(time) IN (SELECT hour FROM pathline.hours_due)
    UNION ALL
    -- The stay in which a session ended, where the journey has no objects to say so.
    SELECT
        site, journey, journey_version, toDateTime(toStartOfHour(visit_left_at), 'UTC') AS hour,
        visit_stage AS stage, visit_rank AS rank,
        visit_device, visit_channel, visit_source, visit_medium, visit_campaign, visit_country, '' AS currency,
        'abandoned' AS what, 0 AS value_e4, visitor_id, 0. AS seconds, written_at
    FROM
    (
        SELECT
            site, visitor_id, written_at, journey, journey_version, visit_stage, visit_rank, visit_left_at, visit_left_by,
            visit_device, visit_channel, visit_source, visit_medium, visit_campaign, visit_country
        FROM pathline.sessions FINAL
        ARRAY JOIN
            journeys.journey AS journey,
            journeys.journey_version AS journey_version,
            journeys.visit_stage AS visit_stage,
            journeys.visit_rank AS visit_rank,
            journeys.visit_left_at AS visit_left_at,
            journeys.visit_left_by AS visit_left_by,
            journeys.visit_device AS visit_device,
            journeys.visit_channel AS visit_channel,
            journeys.visit_source AS visit_source,
            journeys.visit_medium AS visit_medium,
            journeys.visit_campaign AS visit_campaign,
            journeys.visit_country AS visit_country
        WHERE visit_left_by = 'abandoned'
    )
    WHERE toStartOfHour(visit_left_at) IN (SELECT hour FROM pathline.hours_due)
        AND (journey, journey_version) NOT IN (SELECT journey, journey_version FROM pathline.stages FINAL WHERE has_objects)
    UNION ALL
    SELECT
        site, journey, journey_version, toDateTime(toStartOfHour(abandoned_at), 'UTC') AS hour, stage, rank,
        device, channel, source, medium, campaign, country, '' AS currency,
        'abandoned' AS what, 0 AS value_e4, visitor_id, 0. AS seconds, written_at
    FROM pathline.objects FINAL
    WHERE abandoned_at != never AND toStartOfHour(abandoned_at) IN (SELECT hour FROM pathline.hours_due)
    UNION ALL
    SELECT
        b.site AS site, b.journey AS journey, b.journey_version AS journey_version, o.hour AS hour,
        b.stage AS stage, b.rank AS rank, b.device AS device, b.channel AS channel, b.source AS source,
        b.medium AS medium, b.campaign AS campaign, b.country AS country, '' AS currency,
        o.what AS what, 0 AS value_e4, b.visitor_id AS visitor_id, 0. AS seconds, o.written_at AS written_at
    FROM
    (
        SELECT
            site, journey, journey_version, chain_id, written_at,
            if(state = 'void', 'voided', 'recovered') AS what,
            if(state = 'void', toStartOfHour(time), toDateTime(toStartOfHour(resolved_at), 'UTC')) AS hour
        FROM pathline.outcomes FINAL
        WHERE state IN ('void', 'recovered')
    ) AS o
    INNER JOIN (SELECT * FROM pathline.objects FINAL WHERE abandoned_at != never) AS b
        ON o.site = b.site AND o.journey = b.journey AND o.journey_version = b.journey_version AND o.chain_id = b.chain_id
    WHERE o.hour IN (SELECT hour FROM pathline.hours_due)
    UNION ALL
    -- Zeros for what was told of these hours before, and is no more.
    SELECT
        site, journey, journey_version, time AS hour, stage, rank,
        device, channel, source, medium, campaign, country, currency,
        'before' AS what, 0 AS value_e4, '' AS visitor_id, 0. AS seconds, oldest_written_at AS written_at
    FROM pathline.funnel_hour FINAL
    WHERE time IN (SELECT hour FROM pathline.hours_due)
) AS o
GROUP BY
    site, journey, journey_version, hour, stage, device, channel, source, medium, campaign, country, currency
;
CREATE MATERIALIZED VIEW IF NOT EXISTS pathline.funnel_hour_refresh
REFRESH EVERY 5 MINUTE APPEND TO pathline.funnel_hour
AS SELECT * FROM pathline.funnel_hour_due
-- One core at most, and only what nobody else wants: rows on their way in go first.
SETTINGS max_threads = 1, os_thread_priority = 10
