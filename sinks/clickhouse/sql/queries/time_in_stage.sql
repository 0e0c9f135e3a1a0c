-- How long people stay in a stage. Those who left and those who are still there are two groups: the time of the second
-- is not over, so a stage that holds people longer shows there first. Quantiles of days are not averaged: the largest
-- and the smallest day are shown.
SELECT
    journey,
    rank,
    stage,
    sum(t.left) AS left,
    min(t.left_p50) AS left_p50_least,
    max(t.left_p50) AS left_p50_most,
    max(t.left_p90) AS left_p90_most,
    sum(t.given_up) AS given_up,
    sum(t.open) AS still_there,
    max(t.open_p50) AS still_there_p50_most
FROM bi.stage_times AS t
GROUP BY journey, rank, stage
ORDER BY journey, rank
