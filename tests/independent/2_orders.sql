-- Orders, once per (site, order_id). An order may be passive (a server's report) or late; an event without an
-- order_id stands for itself. Weeks are shorter than the 365 days after which an id may come again.
CREATE TABLE placed ENGINE = Memory AS
SELECT
    *,
    if(order_id = '', event_id, order_id) AS order_key,
    row_number() OVER (PARTITION BY site, order_key ORDER BY time, partition, position) > 1 AS is_repeat
FROM (SELECT * FROM events UNION ALL SELECT * FROM admitted WHERE is_late)
WHERE event IN ('purchase', 'in_app_purchase', 'order_completed');

CREATE TABLE orders ENGINE = Memory AS SELECT * FROM placed WHERE NOT is_repeat;

-- Refunds and cancellations, late ones too, each once; those of an unknown order say nothing. A value of 0
-- means all of the order.
CREATE TABLE order_changes ENGINE = Memory AS
SELECT
    site,
    order_id,
    if(event = 'order_cancelled', 'cancelled', 'refunded') AS kind,
    event_id,
    any(if(value = 0, ordered.value, value)) AS taken_back
FROM (SELECT * FROM events UNION ALL SELECT * FROM admitted WHERE is_late) AS change
JOIN (SELECT site, order_key, value FROM orders) AS ordered
    ON ordered.site = change.site AND ordered.order_key = change.order_id
WHERE event IN ('refund', 'order_refunded', 'order_cancelled')
GROUP BY ALL;
