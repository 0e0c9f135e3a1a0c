-- The orders of this visitor, and those of others that have the same ids. Not by time: the view numbers all orders of
-- a person, and reads them for that; and an order of the same id may be long ago.
SELECT *
FROM bi.orders
WHERE site = {site:String} AND (visitor_id = {visitor:String} OR order_id IN {ids:Array(String)})
ORDER BY at, order_id
