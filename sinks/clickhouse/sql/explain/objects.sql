-- The carts, checkouts and payments of one visitor, and their browsing, whatever became of them. Events open them, so
-- that they are of the same time; it is the sorting key. Two of one second follow each other by their kind.
SELECT *
FROM bi.abandonments
WHERE site = {site:String} AND visitor_id = {visitor:String}
    AND opened_at >= fromUnixTimestamp({since:Int64}) AND opened_at <= fromUnixTimestamp({until:Int64})
ORDER BY opened_at, rank, object_id
