-- Sessions by the furthest stage that they reach. A renamed stage goes by its new name.
SELECT stage, countIf(is_old) AS before, countIf(is_new) AS after
FROM
(
    SELECT
        journey = {old_journey:String} AND journey_version = {old_version:UInt16} AS is_old,
        journey = {new_journey:String} AND journey_version = {new_version:UInt16} AS is_new,
        if(is_old, transform(furthest_stage, {old_stages:Array(String)}, {called:Array(String)}, ''), furthest_stage)
            AS stage
    FROM bi.session_stages_all
    WHERE is_old OR is_new
)
GROUP BY stage
ORDER BY indexOf({order:Array(String)}, stage)
