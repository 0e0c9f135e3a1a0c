-- Changes of stage by where from, where to and kind.
SELECT came_from, went_to, kind, countIf(is_old) AS before, countIf(is_new) AS after
FROM
(
    SELECT
        journey = {old_journey:String} AND journey_version = {old_version:UInt16} AS is_old,
        journey = {new_journey:String} AND journey_version = {new_version:UInt16} AS is_new,
        if(is_old, transform(from_stage, {old_stages:Array(String)}, {called:Array(String)}, ''), from_stage)
            AS came_from,
        if(is_old, transform(to_stage, {old_stages:Array(String)}, {called:Array(String)}, ''), to_stage) AS went_to,
        kind
    FROM bi.transitions_all
    WHERE is_old OR is_new
)
GROUP BY came_from, went_to, kind
ORDER BY indexOf({order:Array(String)}, came_from), indexOf({order:Array(String)}, went_to), kind
