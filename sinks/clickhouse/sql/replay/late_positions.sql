-- Which records were late.
SELECT source, partition, position
FROM bi.late_events
