-- Settled cohorts: of those who entered a stage on a day, the share that went on, of those of whom it is known. As long
-- as many are open the rate is that of the quick ones: wait, or compare with the same hour of another day.
SELECT
    toDate(time) AS day,
    journey,
    rank,
    stage,
    sum(d.entered) AS entered,
    sum(d.open) AS still_open,
    sum(d.advanced) AS went_on,
    sum(d.advanced) / nullIf(sum(d.settled), 0) AS rate
FROM bi.dropoff AS d
GROUP BY day, journey, rank, stage
ORDER BY day, journey, rank
