-- What each session is in both versions, sessions alike together, with a few of them to look at.
-- A session that entered no stage of a version is not in it: its words are empty.
SELECT
    furthest_before,
    furthest_after,
    outcome_before,
    outcome_after,
    count() AS sessions,
    arrayMap(found -> found.2, groupArraySorted(3)((started_at, visitor_id)) AS first) AS visitors,
    arrayMap(found -> toString(found.1), first) AS times
FROM
(
    SELECT
        session_id,
        visitor_id,
        started_at,
        anyIf(stage, is_old) AS furthest_before,
        anyIf(stage, is_new) AS furthest_after,
        anyIf(words, is_old) AS outcome_before,
        anyIf(words, is_new) AS outcome_after
    FROM
    (
        SELECT
            session_id,
            visitor_id,
            started_at,
            journey = {old_journey:String} AND journey_version = {old_version:UInt16} AS is_old,
            journey = {new_journey:String} AND journey_version = {new_version:UInt16} AS is_new,
            if(is_old, transform(furthest_stage, {old_stages:Array(String)}, {called:Array(String)}, ''), furthest_stage)
                AS stage,
            if(
                is_old,
                transform(abandoned_stage, {old_stages:Array(String)}, {called:Array(String)}, ''),
                abandoned_stage
            ) AS given_up,
            if(given_up = '', outcome, concat(outcome, ' in ', given_up)) AS words
        FROM bi.session_stages_all
        WHERE is_old OR is_new
    )
    GROUP BY session_id, visitor_id, started_at
)
GROUP BY furthest_before, furthest_after, outcome_before, outcome_after
ORDER BY sessions DESC, furthest_before, furthest_after, outcome_before, outcome_after
