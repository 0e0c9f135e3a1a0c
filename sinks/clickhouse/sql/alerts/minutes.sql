-- Cohorts by minute of entry, as the alerts count them, from the facts: for `pathline alerts history`.
-- A row per minute, step and segment (everybody, or one value of one dimension). Who goes on within d minutes does so in a
-- minute at most d later than the one of the entry.
SELECT
    minute,
    journey,
    version,
    c.rank AS rank,
    c.stage AS stage,
    segment,
    sum(c.entered) AS entered,
    sum(c.after <= 1) AS went_on_1,
    sum(c.after <= 2) AS went_on_2,
    sum(c.after <= 5) AS went_on_5,
    sum(c.after <= 10) AS went_on_10,
    sum(c.after <= 20) AS went_on_20,
    sum(c.after <= 30) AS went_on_30,
    sum(c.after <= 60) AS went_on_60,
    sum(c.skipped) AS skipped,
    sum(c.value_e4) AS value_e4
FROM
(
    SELECT
        toInt64(intDiv(toUnixTimestamp(time), 60)) AS minute, journey, journey_version AS version, to_rank AS rank,
        to_stage AS stage, site, device, channel, country, 1 AS entered, 1000 AS after, 0 AS skipped,
        toInt64(t.value * 10000) AS value_e4
    FROM bi.transitions_all AS t
    WHERE time >= {since:DateTime} AND time < {until:DateTime}
    UNION ALL
    SELECT
        toInt64(intDiv(toUnixTimestamp(entered_at), 60)) AS minute, journey, journey_version AS version, rank, stage,
        site, device, channel, country, 0 AS entered,
        toInt64(intDiv(toUnixTimestamp(assumeNotNull(left_at)), 60)) - minute AS after, 0 AS skipped, 0 AS value_e4
    FROM bi.stage_visits_all
    WHERE left_by = 'advanced' AND after <= 60 AND entered_at >= {since:DateTime} AND entered_at < {until:DateTime}
        AND stored_time >= {since:DateTime} AND stored_time < {until:DateTime} + INTERVAL 61 MINUTE
    UNION ALL
    SELECT
        toInt64(intDiv(toUnixTimestamp(t.time), 60)) AS minute, t.journey AS journey, t.journey_version AS version,
        s.rank AS rank, s.stage AS stage, t.site AS site, t.device AS device, t.channel AS channel,
        t.country AS country, 0 AS entered, 1000 AS after, 1 AS skipped, 0 AS value_e4
    FROM
    (
        SELECT site, journey, journey_version, time, kind, to_rank, skipped, device, channel, country
        FROM bi.transitions_all
        WHERE time >= {since:DateTime} AND time < {until:DateTime}
            AND (notEmpty(skipped) OR (kind = 'enter' AND to_rank > 1))
    ) AS t
    INNER JOIN bi.stages_all AS s ON t.journey = s.journey AND t.journey_version = s.journey_version
    WHERE if(t.kind = 'enter', s.rank < t.to_rank AND NOT s.is_optional, has(t.skipped, s.stage))
) AS c
ARRAY JOIN arrayConcat(
    [''],
    if(channel = '', [], [concat('channel=', encodeURLComponent(channel))]),
    if(country = '', [], [concat('country=', encodeURLComponent(country))]),
    if(device = '', [], [concat('device=', encodeURLComponent(device))]),
    if(site = '', [], [concat('site=', encodeURLComponent(site))])
) AS segment
GROUP BY minute, journey, version, rank, stage, segment
ORDER BY minute, journey, version, rank, segment
