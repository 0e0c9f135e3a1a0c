-- The answers, in the shape in which they are compared.
CREATE TABLE objects ENGINE = Memory AS
SELECT
    e.site AS site,
    e.visitor_id AS visitor_id,
    e.chain AS chain,
    e.object AS object,
    ['browse', 'cart', 'checkout', 'payment'][e.kind] AS kind,
    opening.at AS opened_at,
    -- The last object of an abandoned chain, and for `final_state` all of them, know what became of it.
    if(e.verb = 'abandoned', o.state, e.verb) AS state,
    if(c.verb = 'abandoned', o.state, c.verb) AS final_state,
    if(e.verb = 'abandoned', e.at, 0) AS abandoned_at,
    if(e.verb = 'abandoned', o.resolved_at, e.at) AS resolved_at,
    v.value_at_risk AS value_at_risk,
    if(v.value_at_risk > 0, v.currency, '') AS currency,
    if(e.verb = 'abandoned', o.recovered_value, 0) AS recovered_value
FROM (SELECT * FROM told WHERE verb NOT IN ('opened', 'touched')) AS e
JOIN (SELECT * FROM told WHERE verb = 'opened') AS opening USING (site, visitor_id, chain, object)
JOIN chains AS c USING (site, visitor_id, chain)
JOIN object_values AS v USING (site, visitor_id, chain, object)
LEFT JOIN outcomes AS o USING (site, visitor_id, chain);

-- A session takes part in a chain (cart or higher) by what it did to it; late and passive orders have no session.
CREATE TABLE participations ENGINE = Memory AS
SELECT DISTINCT site, visitor_id, session, chain
FROM told
JOIN (SELECT site, visitor_id, number, session FROM happenings WHERE session > 0) AS happening
    USING (site, visitor_id, number)
WHERE kind > 1 AND verb != 'superseded';

CREATE TABLE session_outcomes ENGINE = Memory AS
SELECT
    s.site AS site,
    s.visitor_id AS visitor_id,
    s.started_at AS started_at,
    multiIf(
        s.orders > 0 OR p.completed, 'converted',
        p.abandoned, 'abandoned',
        s.events = 1, 'bounced',
        'browsed'
    ) AS outcome,
    -- of several abandoned chains, the stage of the one that had come furthest
    if(outcome = 'abandoned', ['view', 'cart', 'checkout', 'payment'][p.furthest], '') AS abandoned_stage
FROM sessions AS s
LEFT JOIN (
    SELECT
        site,
        visitor_id,
        session,
        countIf(c.verb = 'completed' OR o.state = 'void') > 0 AS completed,
        countIf(c.verb = 'abandoned' AND o.state != 'void') > 0 AS abandoned,
        maxIf(c.last_kind, c.verb = 'abandoned' AND o.state != 'void') AS furthest
    FROM participations
    JOIN chains AS c USING (site, visitor_id, chain)
    LEFT JOIN outcomes AS o USING (site, visitor_id, chain)
    GROUP BY site, visitor_id, session
) AS p USING (site, visitor_id, session)
WHERE s.short_of_order + s.orders > 0; -- it entered the journey

-- Every object counts once, at its own kind, on the day that it was opened, with the end of its chain.
-- A void one never was abandoned: it was completed.
CREATE TABLE rates ENGINE = Memory AS
SELECT
    site,
    toString(toDate(fromUnixTimestamp64Milli(opened_at, 'UTC'))) AS day,
    kind,
    count() AS created,
    count() AS settled, -- all time has passed
    countIf(final_state IN ('completed', 'void')) AS completed,
    countIf(final_state IN ('recovered', 'expired')) AS abandoned,
    countIf(final_state = 'recovered') AS recovered,
    round(1 - completed / settled, 9) AS rate_at_deadline,
    round(1 - (completed + recovered) / settled, 9) AS rate_after_recovery
FROM objects
GROUP BY ALL;
