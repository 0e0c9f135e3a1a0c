-- What became of these sessions, journey by journey.
SELECT session_id, journey, journey_version, outcome, abandoned_stage, path
FROM bi.session_stages
WHERE site = {site:String} AND visitor_id = {visitor:String}
    AND started_at >= fromUnixTimestamp({since:Int64}) AND started_at <= fromUnixTimestamp({until:Int64})
ORDER BY started_at, session_id, journey, journey_version
