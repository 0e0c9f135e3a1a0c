-- The latest version of alerts: all that fire, those resolved of late, and those that somebody must hear the end of.
SELECT {columns}
FROM bi.alerts
WHERE state = 'firing'
   OR resolved_at >= toDateTime({since:Int64}, 'UTC')
   OR has({also:Array(String)}, alert_id)
ORDER BY detected_at, alert_id
LIMIT 10000
