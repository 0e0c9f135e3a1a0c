-- Of the carts and so on that are settled, the share without an order: at their deadlines, and with those that came
-- back after it. Browsing is completed by going on to a cart, too. Counts are added up, never rates.
SELECT
    journey,
    journey_version,
    kind,
    sum(r.created) AS created,
    sum(r.open) AS open,
    sum(r.settled) AS settled,
    1 - sum(r.completed) / nullIf(sum(r.settled), 0) AS rate_at_deadline,
    1 - (sum(r.completed) + sum(r.recovered)) / nullIf(sum(r.settled), 0) AS rate_after_recovery
FROM bi.abandonment_rates AS r
GROUP BY journey, journey_version, kind
ORDER BY journey, journey_version, indexOf(['browse', 'cart', 'checkout', 'payment'], kind)
