-- Sessions by what became of them, abandoned ones by the stage at which they were given up.
SELECT outcome, stage, countIf(is_old) AS before, countIf(is_new) AS after
FROM
(
    SELECT
        journey = {old_journey:String} AND journey_version = {old_version:UInt16} AS is_old,
        journey = {new_journey:String} AND journey_version = {new_version:UInt16} AS is_new,
        outcome,
        if(is_old, transform(abandoned_stage, {old_stages:Array(String)}, {called:Array(String)}, ''), abandoned_stage)
            AS stage
    FROM bi.session_stages_all
    WHERE is_old OR is_new
)
GROUP BY outcome, stage
ORDER BY outcome, indexOf({order:Array(String)}, stage)
