-- Where which device loses people: drop-off of the settled per stage and device of entry.
-- Rates of rows are never added up or averaged: counts are, and the rate is taken last.
SELECT
    journey,
    journey_version,
    rank,
    stage,
    device,
    sum(d.settled) AS settled,
    sum(d.dropped) / nullIf(sum(d.settled), 0) AS dropoff_rate
FROM bi.dropoff AS d
GROUP BY journey, journey_version, rank, stage, device
ORDER BY journey, journey_version, rank, device
