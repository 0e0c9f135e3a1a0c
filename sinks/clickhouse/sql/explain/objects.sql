-- The carts, checkouts and payments of one visitor, and their browsing, whatever became of them.
SELECT *
FROM bi.abandonments
WHERE site = {site:String} AND visitor_id = {visitor:String}
ORDER BY opened_at, object_id
