-- The alerts of both versions, each as it stands.
SELECT * EXCEPT (scope, lost_value, lost_value_low, lost_value_high),
    scope AS segment,
    toFloat64(a.lost_value) AS lost_value,
    toFloat64(a.lost_value_low) AS lost_value_low,
    toFloat64(a.lost_value_high) AS lost_value_high
FROM bi.alerts_all AS a
WHERE (journey = {old_journey:String} AND journey_version = {old_version:UInt16})
   OR (journey = {new_journey:String} AND journey_version = {new_version:UInt16})
ORDER BY started_at, detected_at, alert_id
