-- Which channel brings people who give up in the checkout.
SELECT channel, sum(entered) AS entered, sum(dropped) AS dropped, sum(open) AS open,
    round(sum(dropped) / nullIf(sum(settled), 0), 3) AS dropoff
FROM bi.dropoff WHERE stage = 'checkout' GROUP BY channel ORDER BY dropoff DESC
