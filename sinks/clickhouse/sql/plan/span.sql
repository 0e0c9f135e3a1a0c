-- How long somebody entered stages, from the first to the last time.
SELECT toInt64(max(time)) - toInt64(min(time)) AS seconds
FROM bi.transitions_all
WHERE (journey = {old_journey:String} AND journey_version = {old_version:UInt16})
   OR (journey = {new_journey:String} AND journey_version = {new_version:UInt16})
