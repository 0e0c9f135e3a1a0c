-- Stays in stages that have a deadline.
SELECT session_id, journey, journey_version, stage, entered_at, left_at, deadline_at, left_by
FROM bi.stage_visits
WHERE site = {site:String} AND visitor_id = {visitor:String} AND deadline_at IS NOT NULL
    AND stored_time >= fromUnixTimestamp({since:Int64}) AND stored_time <= fromUnixTimestamp({until:Int64})
ORDER BY deadline_at, session_id, journey, journey_version
