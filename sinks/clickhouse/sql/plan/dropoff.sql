-- Drop-off per stage, of the settled stays. No rate where nothing is settled.
SELECT
    place AS stage,
    sumIf(stays, is_old) AS entered_before,
    sumIf(stays, is_new) AS entered_after,
    sumIf(lost, is_old) AS dropped_before,
    sumIf(lost, is_new) AS dropped_after,
    sumIf(lost, is_old) / nullIf(sumIf(sure, is_old), 0) AS rate_before,
    sumIf(lost, is_new) / nullIf(sumIf(sure, is_new), 0) AS rate_after
FROM
(
    SELECT
        journey = {old_journey:String} AND journey_version = {old_version:UInt16} AS is_old,
        journey = {new_journey:String} AND journey_version = {new_version:UInt16} AS is_new,
        if(is_old, transform(d.stage, {old_stages:Array(String)}, {called:Array(String)}, ''), d.stage) AS place,
        entered AS stays,
        settled AS sure,
        dropped AS lost
    FROM bi.dropoff_all AS d
    WHERE is_old OR is_new
)
GROUP BY place
ORDER BY indexOf({order:Array(String)}, place)
