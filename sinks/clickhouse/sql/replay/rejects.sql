-- Which records were rejected, and why.
SELECT reason, source, partition, position
FROM bi.rejected_events
ORDER BY source, partition, position
