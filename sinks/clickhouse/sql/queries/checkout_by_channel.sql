-- Which channel brings people who give up in the checkout.
SELECT channel, sum(d.entered) AS entered, sum(d.dropped) AS dropped, sum(d.open) AS open,
    round(sum(d.dropped) / nullIf(sum(d.settled), 0), 3) AS dropoff
FROM bi.dropoff AS d WHERE stage = 'checkout' GROUP BY channel ORDER BY dropoff DESC
