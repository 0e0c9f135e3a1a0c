-- The latest version of alerts: all that fire, those resolved of late, and those that somebody must hear the end of.
SELECT * EXCEPT (scope, lost_value, lost_value_low, lost_value_high),
    scope AS segment,
    toFloat64(a.lost_value) AS lost_value,
    toFloat64(a.lost_value_low) AS lost_value_low,
    toFloat64(a.lost_value_high) AS lost_value_high
FROM bi.alerts AS a
WHERE state = 'firing'
   OR resolved_at >= toDateTime({since:Int64}, 'UTC')
   OR has({also:Array(String)}, alert_id)
ORDER BY state = 'firing' DESC, detected_at DESC, alert_id
LIMIT 10000
