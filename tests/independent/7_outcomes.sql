-- What became of abandoned chains within 7 days: a later order of the visitor that matches recovers one; a late order
-- that was placed before the deadline voids it (it never was abandoned); else it expires.
CREATE TABLE chains ENGINE = Memory AS
SELECT
    site,
    visitor_id,
    chain,
    min(at) AS first_opened_at, -- a chain's first step is an opening
    argMax(verb, place) AS verb,
    argMax(kind, place) AS last_kind,
    argMax(object, place) AS last_object,
    argMax(at, place) AS ended_at
FROM told
GROUP BY site, visitor_id, chain;

-- Orders that took effect after the abandonment and before the window had passed.
CREATE TABLE answers ENGINE = Memory AS
SELECT
    site,
    visitor_id,
    chain,
    c.ended_at AS abandoned_at,
    c.last_kind AS last_kind,
    o.time AS time,
    o.partition AS partition,
    o.position AS position,
    resolving(o.event_at, o.time) AS resolved_at,
    o.value AS value,
    o.event_at <= c.ended_at AS is_void
FROM chains AS c
JOIN chain_ends USING (site, visitor_id, chain)
JOIN (SELECT site, visitor_id, time, event_at, partition, position, cart_id, products, value FROM orders) AS o
    USING (site, visitor_id)
WHERE c.verb = 'abandoned'
    AND o.time > c.ended_at AND o.time <= c.ended_at + 7 * 24 * 3600000
    AND o.event_at >= c.first_opened_at
    AND is_match(chain_ends.carts, chain_ends.products, o.cart_id, o.products);

-- The first of each sort for a chain. A void beats a recovery before it, and no recovery comes after one.
CREATE TABLE verdicts ENGINE = Memory AS
SELECT
    site,
    visitor_id,
    chain,
    any(abandoned_at) AS abandoned_at,
    any(last_kind) AS last_kind,
    minIf((time, partition, position, resolved_at), is_void) AS void_by,
    minIf((time, partition, position, resolved_at, value), NOT is_void) AS won_by,
    countIf(is_void) > 0 AS has_void,
    countIf(NOT is_void) > 0 AND (NOT has_void OR tuple(won_by.1, won_by.2, won_by.3) < tuple(void_by.1, void_by.2, void_by.3)) AS has_won
FROM answers
GROUP BY site, visitor_id, chain;

-- Where one order recovers several chains its value goes to the cart or higher abandoned last, to a browse only where
-- there is none of these; that is decided when it comes.
CREATE TABLE recoveries ENGINE = Memory AS
SELECT
    site,
    visitor_id,
    chain,
    row_number() OVER (PARTITION BY site, visitor_id, won_by ORDER BY last_kind > 1 DESC, abandoned_at DESC, chain DESC) = 1 AS takes_value
FROM verdicts
WHERE has_won;

CREATE TABLE outcomes ENGINE = Memory AS
SELECT
    c.site AS site,
    c.visitor_id AS visitor_id,
    c.chain AS chain,
    multiIf(v.has_void, 'void', v.has_won, 'recovered', 'expired') AS state,
    multiIf(
        v.has_void, v.void_by.4,
        v.has_won, v.won_by.4,
        c.ended_at + 7 * 24 * 3600000
    ) AS resolved_at,
    if(state = 'recovered' AND r.takes_value, v.won_by.5, 0) AS recovered_value
FROM chains AS c
LEFT JOIN verdicts AS v USING (site, visitor_id, chain)
LEFT JOIN recoveries AS r USING (site, visitor_id, chain)
WHERE c.verb = 'abandoned';
