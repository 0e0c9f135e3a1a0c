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
        to_stage AS stage, site, device, channel, country, 1 AS entered, 1000 AS after, 0 AS skipped, value_e4
    FROM pathline.transitions FINAL
    WHERE time >= {since:DateTime} AND time < {until:DateTime}
    UNION ALL
    SELECT
        intDiv(toUnixTimestamp64Milli(from_entered_at), 60000) AS minute, journey, journey_version AS version,
        from_rank AS rank, from_stage AS stage, site, from_device AS device, from_channel AS channel,
        from_country AS country, 0 AS entered, intDiv(toUnixTimestamp64Milli(at), 60000) - minute AS after,
        0 AS skipped, 0 AS value_e4
    FROM pathline.transitions FINAL
    WHERE from_stage != '' AND kind != 'regress' AND after <= 60
        AND time >= {since:DateTime} AND time < {until:DateTime} + INTERVAL 61 MINUTE
        AND from_entered_at >= {since:DateTime} AND from_entered_at < {until:DateTime}
    UNION ALL
    SELECT
        toInt64(intDiv(toUnixTimestamp(t.time), 60)) AS minute, t.journey AS journey, t.journey_version AS version,
        s.rank AS rank, s.stage AS stage, t.site AS site, t.device AS device, t.channel AS channel,
        t.country AS country, 0 AS entered, 1000 AS after, 1 AS skipped, 0 AS value_e4
    FROM
    (
        SELECT site, journey, journey_version, time, kind, to_rank, skipped, device, channel, country
        FROM pathline.transitions FINAL
        WHERE time >= {since:DateTime} AND time < {until:DateTime}
            AND (skipped != '' OR (kind = 'enter' AND to_rank > 1))
    ) AS t
    INNER JOIN (SELECT * FROM pathline.stages FINAL) AS s
        ON t.journey = s.journey AND t.journey_version = s.journey_version
    WHERE if(t.kind = 'enter', s.rank < t.to_rank AND NOT s.is_optional, has(splitByChar('>', toString(t.skipped)), s.stage))
) AS c
ARRAY JOIN arrayConcat(
    [''],
    if(channel = '', [], [concat('channel=', encodeURLComponent(toString(channel)))]),
    if(country = '', [], [concat('country=', encodeURLComponent(toString(country)))]),
    if(device = '', [], [concat('device=', encodeURLComponent(toString(device)))]),
    if(site = '', [], [concat('site=', encodeURLComponent(toString(site)))])
) AS segment
GROUP BY minute, journey, version, rank, stage, segment
ORDER BY minute, journey, version, rank, segment
