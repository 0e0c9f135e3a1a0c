-- Conversions and their value by day, channel and currency. Values of different currencies are never added up.
SELECT
    toDate(time) AS day,
    journey,
    channel,
    currency,
    sum(f.converted) AS converted,
    sum(f.value) AS value
FROM bi.funnel_day AS f
GROUP BY day, journey, channel, currency
HAVING converted > 0
ORDER BY day, journey, value DESC, channel, currency
