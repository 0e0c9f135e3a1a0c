-- Days of which an hour was computed since the days were. A day keeps the highest generation of its hours.
CREATE OR REPLACE VIEW pathline.funnel_day_due
AS SELECT site, journey, journey_version, day AS time, * EXCEPT (site, journey, journey_version, day)
FROM
(
    SELECT
        site,
        journey,
        journey_version,
        toStartOfDay(h.time) AS day,
        stage,
        max(h.rank) AS rank,
        device,
        channel,
        source,
        medium,
        campaign,
        country,
        currency,
        sum(h.entered) AS entered,
        sum(h.advanced) AS advanced,
        sum(h.abandoned) AS abandoned,
        sum(h.recovered) AS recovered,
        sum(h.voided) AS voided,
        sum(h.converted) AS converted,
        sum(h.value_e4) AS value_e4,
        uniqMergeState(h.visitors) AS visitors,
        quantilesDDMergeState(0.01, 0.5, 0.9, 0.99)(h.seconds) AS seconds,
        sum(h.left) AS left,
        min(h.oldest_written_at) AS oldest_written_at,
        max(h.as_of) AS as_of,
        (SELECT max(generation) FROM pathline.funnel_hour) AS generation
    FROM pathline.funnel_hour AS h FINAL
    WHERE toStartOfDay(h.time) IN (
        SELECT toStartOfDay(time) FROM pathline.funnel_hour
        WHERE generation > (SELECT max(generation) FROM pathline.funnel_day)
    )
    GROUP BY
        site, journey, journey_version, day, stage, device, channel, source, medium, campaign, country, currency
)
;
CREATE MATERIALIZED VIEW IF NOT EXISTS pathline.funnel_day_refresh
REFRESH EVERY 5 MINUTE APPEND TO pathline.funnel_day
AS SELECT * FROM pathline.funnel_day_due
-- One core at most, and only what nobody else wants: rows on their way in go first.
SETTINGS max_threads = 1, os_thread_priority = 10
