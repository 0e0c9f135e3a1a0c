-- What may change an object, per visitor: events that mean something to one, orders, and the ends of sessions.
-- `code` is the order at one and the same time; `rank` the kind of object that an event speaks of (1 browse,
-- 2 cart, 3 checkout, 4 payment; else 0).
CREATE TABLE meant ENGINE = Memory AS
SELECT
    *,
    multiIf(
        event IN ('add_payment_info', 'payment_failed'), 4,
        event IN ('begin_checkout', 'add_shipping_info'), 3,
        event = 'add_to_cart', 2,
        event = 'view_item', 1,
        0
    ) AS rank,
    multiIf(
        rank > 0, 'act',
        event = 'remove_from_cart', 'remove',
        event = 'cart_emptied', 'withdraw',
        ''
    ) AS what,
    multiIf(what = 'remove', 2, what = 'withdraw', 5, rank) AS code
FROM events
WHERE NOT passive AND what != '';

-- Orders stand at the time at which they take effect, `at` is when they were placed. Only an order that the
-- visitor places on time is part of a session: others have session 0.
-- An end of a session by its gap is a timer: it comes after events of the same time. Where an event cuts a session
-- short, the end comes before it. At the end of a replay all time passes.
CREATE TABLE unnumbered ENGINE = Memory AS
SELECT site, visitor_id, time, code, event_id, what, rank, event_at AS at, is_late, session,
    cart_id, products, value, currency, partition, position
FROM meant
JOIN session_events USING (site, visitor_id, partition, position)
UNION ALL
SELECT site, visitor_id, time, 6, event_id, 'order', 0, event_at, is_late, if(is_late, 0, session),
    cart_id, products, value, currency, partition, position
FROM orders
LEFT JOIN session_events USING (site, visitor_id, partition, position)
UNION ALL
SELECT site, visitor_id, closed_at, if(next_at <= ended_at + 30 * 60000, 0, 7), '', 'close', 0, closed_at, 0, session,
    '', [], 0, '', 0, 0
FROM sessions
UNION ALL
SELECT DISTINCT site, visitor_id, toInt64(9e15), 9, '', 'end', 0, toInt64(9e15), 0, 0, '', [], 0, '', 0, 0
FROM admitted;

CREATE TABLE happenings ENGINE = Memory AS
SELECT
    *,
    row_number() OVER (
        PARTITION BY site, visitor_id ORDER BY time, code, event_id, partition, position
    ) AS number
FROM unnumbered;
