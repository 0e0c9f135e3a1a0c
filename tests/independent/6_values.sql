-- What was at stake in each object: a running value over the events of its chain.
-- Value in another currency than that of the chain is left out.
CREATE TABLE chain_acts ENGINE = Memory AS
SELECT
    *,
    first_value(if(gives_currency(kind, rank, what, value), currency, NULL)) OVER (
        PARTITION BY site, visitor_id, chain ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS chain_currency,
    if(currency = chain_currency, value, 0) AS counted
FROM told
JOIN (SELECT site, visitor_id, number, what, rank, value, currency FROM happenings) AS happening
    USING (site, visitor_id, number)
WHERE verb IN ('opened', 'touched');

-- A cart adds up its cart events; what is removed is taken off, but not below 0; a checkout or payment takes the last
-- value of its own kind. A successor begins with its predecessor's value. A browse has nothing at stake.
CREATE TABLE object_values ENGINE = Memory AS
SELECT
    site,
    visitor_id,
    chain,
    step.2 AS object,
    argMax(running, step.1) AS value_at_risk,
    any(chain_currency) AS currency
FROM (
    SELECT
        site,
        visitor_id,
        chain,
        any(chain_acts.chain_currency) AS chain_currency,
        -- 1 place, 2 object, 3 kind of the object, 4 kind of the event, 5 what, 6 value
        arraySort(groupArray((place, object, kind, rank, what, toInt64(counted)))) AS steps,
        arrayFold(
            (values, step) -> arrayPushBack(values, multiIf(
                step.3 = 1, toInt64(0),
                step.5 = 'remove', if(loses_value(step.3), greatest(values[-1] - step.6, 0), values[-1]),
                step.3 = 2, values[-1] + step.6,
                step.3 = step.4 AND step.6 > 0, step.6,
                values[-1]
            )),
            steps,
            CAST([], 'Array(Int64)') -- the last of none is 0
        ) AS after
    FROM chain_acts
    GROUP BY site, visitor_id, chain
)
ARRAY JOIN steps AS step, after AS running
GROUP BY site, visitor_id, chain, object;
