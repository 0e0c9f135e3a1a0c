-- What was abandoned and what came back, by day of creation, by count and by value. The rate after recovery of the last
-- seven days is not final: the window in which people may come back is still open.
SELECT
    toDate(time) AS day,
    kind,
    currency,
    sum(r.settled) AS settled,
    sum(r.abandoned) AS abandoned,
    sum(r.recovered) AS recovered,
    sum(r.recovered) / nullIf(sum(r.abandoned), 0) AS share_recovered,
    sum(r.value_abandoned) AS value_abandoned,
    sum(r.value_recovered) AS value_recovered,
    toFloat64(sum(r.value_recovered)) / nullIf(toFloat64(sum(r.value_abandoned)), 0) AS share_of_value_recovered
FROM bi.abandonment_rates AS r
GROUP BY day, kind, currency
ORDER BY day, kind, currency
