-- The orders of this visitor, and those of others that have the same ids.
SELECT *
FROM bi.orders
WHERE site = {site:String} AND (visitor_id = {visitor:String} OR order_id IN {ids:Array(String)})
ORDER BY at, order_id
