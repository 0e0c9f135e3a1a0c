-- How far people come: one row per stage of each journey.
-- entered = went_on + dropped + open. The rate leaves out those who are still open: they are neither lost
-- nor won yet. No rate at the last stage, where nobody can go on.
SELECT
    journey,
    journey_version,
    rank,
    stage,
    sum(d.entered) AS entered,
    sum(d.advanced) AS went_on,
    sum(d.dropped) AS dropped,
    sum(d.open) AS open,
    dropped / nullIf(went_on + dropped, 0) AS dropoff_rate
FROM bi.dropoff AS d
GROUP BY journey, journey_version, rank, stage
ORDER BY journey, journey_version, rank
