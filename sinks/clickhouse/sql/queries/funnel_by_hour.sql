-- What happened at each stage in the last 48 hours that have any, hour by hour. Read it from left to right: stays that
-- began, went on, were given up (less those that a late order took back), and came back. Not a rate: those who leave in
-- an hour came in an earlier one. For rates take `cohorts`.
SELECT
    time,
    journey,
    rank,
    stage,
    sum(f.entered) AS entered,
    sum(f.advanced) AS advanced,
    sum(f.abandoned) - sum(f.voided) AS abandoned,
    sum(f.recovered) AS recovered,
    sum(f.converted) AS converted
FROM bi.funnel_hour AS f
WHERE time > (SELECT max(time) FROM bi.funnel_hour) - INTERVAL 48 HOUR
GROUP BY time, journey, rank, stage
ORDER BY time, journey, rank
