-- The changes of stage in these sessions.
SELECT session_id, journey, journey_version, sequence, at, from_stage, to_stage, to_rank, kind, skipped, event_id
FROM bi.transitions
WHERE site = {site:String} AND visitor_id = {visitor:String}
    AND time >= fromUnixTimestamp({since:Int64}) AND time <= fromUnixTimestamp({until:Int64})
ORDER BY at, session_id, journey, journey_version, sequence
