-- Of the settled objects of a kind, the share without an order: by the deadline, and with those that came back.
-- A superseded object counts at its own kind with the end of its chain; one that is void was ordered in time.
SELECT
    kind,
    countIf(is_old) AS created_before,
    countIf(is_new) AS created_after,
    1 - countIf(is_old AND is_settled AND is_bought) / nullIf(countIf(is_old AND is_settled), 0) AS deadline_before,
    1 - countIf(is_new AND is_settled AND is_bought) / nullIf(countIf(is_new AND is_settled), 0) AS deadline_after,
    1 - countIf(is_old AND is_settled AND (is_bought OR is_back)) / nullIf(countIf(is_old AND is_settled), 0)
        AS recovery_before,
    1 - countIf(is_new AND is_settled AND (is_bought OR is_back)) / nullIf(countIf(is_new AND is_settled), 0)
        AS recovery_after
FROM
(
    SELECT
        journey = {old_journey:String} AND journey_version = {old_version:UInt16} AS is_old,
        journey = {new_journey:String} AND journey_version = {new_version:UInt16} AS is_new,
        kind,
        final_state != 'open' AS is_settled,
        final_state IN ('completed', 'void') AS is_bought,
        final_state = 'recovered' AS is_back
    FROM bi.abandonments_all
    WHERE is_old OR is_new
)
GROUP BY kind
ORDER BY indexOf(['browse', 'cart', 'checkout', 'payment'], kind)
