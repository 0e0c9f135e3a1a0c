-- The events of one visitor in the order in which they are applied.
SELECT *
FROM bi.events
WHERE site = {site:String} AND visitor_id = {visitor:String}
ORDER BY at, event_id, partition, position
LIMIT {most:UInt32}
