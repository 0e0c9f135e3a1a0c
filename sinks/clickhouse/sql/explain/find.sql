-- Whose events carry a text as their visitor, order, cart or account.
SELECT
    what,
    site,
    visitor_id,
    count() AS events,
    min(at) AS first_at,
    max(at) AS last_at
FROM
(
    SELECT 'visitor' AS what, site, visitor_id, at FROM bi.events WHERE visitor_id = {id:String}
    UNION ALL
    SELECT 'order' AS what, site, visitor_id, at FROM bi.events WHERE order_id = {id:String}
    UNION ALL
    SELECT 'cart' AS what, site, visitor_id, at FROM bi.events WHERE cart_id = {id:String}
    UNION ALL
    SELECT 'user' AS what, site, visitor_id, at FROM bi.events WHERE user_id = {id:String}
)
GROUP BY what, site, visitor_id
ORDER BY what, first_at, site, visitor_id
