-- Objects by kind and by what became of them.
SELECT kind, state, countIf(is_old) AS before, countIf(is_new) AS after
FROM
(
    SELECT
        journey = {old_journey:String} AND journey_version = {old_version:UInt16} AS is_old,
        journey = {new_journey:String} AND journey_version = {new_version:UInt16} AS is_new,
        kind,
        state
    FROM bi.abandonments_all
    WHERE is_old OR is_new
)
GROUP BY kind, state
ORDER BY
    indexOf(['browse', 'cart', 'checkout', 'payment'], kind),
    indexOf(
        ['open', 'at_risk', 'completed', 'withdrawn', 'superseded', 'abandoned', 'recovered', 'expired', 'void'], state
    )
