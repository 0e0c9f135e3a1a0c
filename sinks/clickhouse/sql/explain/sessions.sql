-- The sessions of one visitor; the time is the sorting key, so that little is read.
SELECT session_id, started_at, ended_at, events, device, channel, is_closed, is_continuation
FROM bi.sessions
WHERE site = {site:String} AND visitor_id = {visitor:String}
    AND started_at >= fromUnixTimestamp({since:Int64}) AND started_at <= fromUnixTimestamp({until:Int64})
ORDER BY started_at, ended_at, session_id
