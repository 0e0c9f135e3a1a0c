-- Hours whose facts were written since the hours were last computed, with two minutes for blocks that were on
-- their way then. Not those of which facts may have expired (400 days): what is stored of them is all there is.
CREATE OR REPLACE VIEW pathline.hours_due
AS WITH
    (SELECT toDateTime(greatest(toUnixTimestamp(max(as_of)), 120) - 120, 'UTC') FROM pathline.funnel_hour) AS since,
    toDateTime(0, 'UTC') AS never
SELECT DISTINCT hour
FROM
(
    SELECT toStartOfHour(time) AS hour
    FROM pathline.transitions
    WHERE written_at >= since
    UNION ALL
    SELECT toDateTime(toStartOfHour(from_deadline_at), 'UTC') AS hour
    FROM pathline.transitions
    WHERE written_at >= since AND from_deadline_at < at
    UNION ALL
    SELECT toDateTime(toStartOfHour(arrayJoin(journeys.visit_left_at)), 'UTC') AS hour
    FROM pathline.sessions
    WHERE written_at >= since
    UNION ALL
    SELECT toDateTime(toStartOfHour(abandoned_at), 'UTC') AS hour
    FROM pathline.objects
    WHERE written_at >= since
    UNION ALL
    SELECT toStartOfHour(time) AS hour
    FROM pathline.outcomes
    WHERE written_at >= since
    UNION ALL
    SELECT toDateTime(toStartOfHour(resolved_at), 'UTC') AS hour
    FROM pathline.outcomes
    WHERE written_at >= since
)
WHERE hour != never
    AND hour NOT IN (
        SELECT time FROM pathline.funnel_hour WHERE oldest_written_at < now() - INTERVAL 390 DAY
    )
