-- Why records could not be events, the most frequent reason first. The records themselves are in the view.
SELECT reason, count() AS records
FROM bi.rejected_events
GROUP BY reason
ORDER BY records DESC, reason
