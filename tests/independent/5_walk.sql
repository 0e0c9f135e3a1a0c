-- The life of the one object that a visitor may have open, happening by happening, as a fold.
-- A step `told` is (object, chain, kind, verb, at, number of the happening): opened, touched, and how it ended
-- (completed, withdrawn, superseded, abandoned). `ends` keeps what each chain knew when it ended.
CREATE FUNCTION as_state AS (kind, object, chain, chain_opened_at, opened_at, deadline_at, merges, carts, products, told, ends) -> CAST(
    tuple(kind, object, chain, chain_opened_at, opened_at, deadline_at, merges, carts, products, told, ends),
    'Tuple(
        kind UInt8, object UInt32, chain UInt32, chain_opened_at Int64, opened_at Int64, deadline_at Int64, merges UInt8,
        carts Array(String), products Array(String),
        told Array(Tuple(
            object UInt32, chain UInt32, kind UInt8, verb String, at Int64, number UInt32)),
        ends Array(Tuple(chain UInt32, carts Array(String), products Array(String))))'
);

-- How long an object waits without activity. A browse waits for the end of its session instead.
CREATE FUNCTION patience AS (kind) -> multiIf(kind = 4, 30 * 60000, kind > 1, 60 * 60000, toInt64(8e15));

-- A chain remembers its last four cart ids, and products; with more than 16 it counts as knowing none.
CREATE FUNCTION with_cart AS (carts, id) -> if(id = '' OR has(carts, id), carts, arraySlice(arrayPushBack(carts, id), -4));
CREATE FUNCTION with_products AS (products, h) -> if(
    h.what = 'remove',
    arrayFilter(product -> NOT has(h.products, product), products),
    arrayDistinct(arrayConcat(products, h.products))
);

-- Whether an order is that of a chain: cart ids first, then products; who knows neither is believed.
CREATE FUNCTION is_match AS (carts, products, cart_id, ordered) -> multiIf(
    has(carts, cart_id) AND cart_id != '', 1,
    hasAny(known(products), known_to_order(ordered)), 1,
    notEmpty(carts) AND cart_id != '', 0,
    notEmpty(known(products)) AND notEmpty(known_to_order(ordered)), 0,
    1
);

-- The chain is over: nothing is open.
CREATE FUNCTION chain_ended AS (s, verb, at, number) -> as_state(
    0, s.object, s.chain, 0, 0, 0, 0, [], [],
    arrayPushBack(s.told, (s.object, s.chain, s.kind, verb, at, number)),
    arrayPushBack(s.ends, (s.chain, s.carts, s.products))
);

-- Nothing is open: the first object of a new chain.
CREATE FUNCTION chain_opened AS (s, h) -> as_state(
    h.rank, s.object + 1, s.chain + 1, h.time, h.time, h.time + patience(h.rank), 0,
    with_cart([], h.cart_id), with_products([], h),
    arrayPushBack(s.told, (s.object + 1, s.chain + 1, h.rank, 'opened', h.time, h.number)),
    s.ends
);

-- A browse that led to more is completed, and a new chain begins.
CREATE FUNCTION led_on AS (s, h) -> as_state(
    h.rank, s.object + 1, s.chain + 1, h.time, h.time, h.time + patience(h.rank), 0,
    with_cart([], h.cart_id), with_products([], h),
    arrayConcat(s.told, [
        (s.object, s.chain, s.kind, 'completed', h.time, h.number),
        (s.object + 1, s.chain + 1, h.rank, 'opened', h.time, h.number)
    ]),
    arrayPushBack(s.ends, (s.chain, s.carts, s.products))
);

-- A successor in the same chain: of a higher kind, or of the same kind with another cart id (merged).
CREATE FUNCTION superseded AS (s, h) -> as_state(
    h.rank, s.object + 1, s.chain, s.chain_opened_at, h.time, h.time + patience(h.rank), s.merges + (h.rank = s.kind),
    with_cart(s.carts, h.cart_id), with_products(s.products, h),
    arrayConcat(s.told, [
        (s.object, s.chain, s.kind, 'superseded', h.time, h.number),
        (s.object + 1, s.chain, h.rank, 'opened', h.time, h.number)
    ]),
    s.ends
);

-- Activity: the deadline moves.
CREATE FUNCTION touched AS (s, h) -> as_state(
    s.kind, s.object, s.chain, s.chain_opened_at, s.opened_at, h.time + patience(s.kind), s.merges,
    with_cart(s.carts, h.cart_id), with_products(s.products, h),
    arrayPushBack(s.told, (s.object, s.chain, s.kind, 'touched', h.time, h.number)),
    s.ends
);

-- What a happening means to what is open (s.kind = 0: nothing is).
CREATE FUNCTION meaning AS (s, h) -> multiIf(
    -- A timer fires when time has passed its deadline: an event exactly at it comes first.
    h.what = 'clock', if(s.kind > 1 AND s.deadline_at < h.time, 'time out', ''),
    h.what = 'close', if(s.kind = 1, 'abandon', ''), -- its session takes a browse along
    h.what = 'withdraw', if(s.kind > 1, 'withdraw', ''),
    h.what = 'remove', if(s.kind > 1, 'touch', ''),
    -- a late order completes only what was there when it was placed
    h.what = 'order', if(
        s.kind > 0 AND (NOT h.is_late OR was_there(s.chain_opened_at, s.opened_at, h.at))
            AND (s.kind = 1 OR is_match(s.carts, s.products, h.cart_id, h.products)),
        'complete', ''),
    h.what != 'act', '',
    s.kind = 0, 'open',
    s.kind = 1, if(h.rank = 1, 'touch', 'lead on'), 
    h.rank = 1, '', -- looking at products says nothing about a cart
    h.rank > s.kind, 'supersede',
    h.rank < s.kind, 'touch',
    h.cart_id != '' AND notEmpty(s.carts) AND NOT has(s.carts, h.cart_id) AND s.merges < 16, 'supersede',
    'touch'
);

CREATE FUNCTION applied AS (s, h, verb) -> multiIf(
    verb = 'open', chain_opened(s, h),
    verb = 'lead on', led_on(s, h),
    verb = 'supersede', superseded(s, h),
    verb = 'touch', touched(s, h),
    verb = 'complete', chain_ended(s, 'completed', resolving(h.at, h.time), h.number),
    verb = 'withdraw', chain_ended(s, 'withdrawn', h.time, h.number),
    verb = 'time out', chain_ended(s, 'abandoned', s.deadline_at, 0),
    verb = 'abandon', chain_ended(s, 'abandoned', h.time, h.number),
    s
);

-- Before each happening the visitor looks at the clock.
CREATE TABLE lives ENGINE = MergeTree ORDER BY (site, visitor_id) AS
SELECT
    site,
    visitor_id,
    arraySort(h -> (h.number, h.what != 'clock'), groupArrayArray(CAST(
        [(number, time, 'clock', 0, time, 0, '', []),
         (number, time, what, rank, at, is_late, cart_id, products)],
        'Array(Tuple(number UInt32, time Int64, what String, rank UInt8, at Int64, is_late UInt8,
            cart_id String, products Array(String)))'
    ))) AS life
FROM happenings
GROUP BY site, visitor_id;

-- A fold goes on for as long as the longest life in a block, and each step has its price: a few large blocks.
CREATE TABLE walked ENGINE = Memory AS
SELECT
    site,
    visitor_id,
    arrayFold(
        (s, h) -> applied(s, h, meaning(s, h)), life, as_state(0, 0, 0, 0, 0, 0, 0, [], [], [], [])
    ) AS end_state
FROM lives
SETTINGS max_block_size = 16384, preferred_block_size_bytes = 0;

CREATE TABLE told ENGINE = Memory AS
SELECT site, visitor_id, step.object AS object, step.chain AS chain, step.kind AS kind, step.verb AS verb,
    step.at AS at, step.number AS number, place
FROM walked
ARRAY JOIN end_state.told AS step, arrayEnumerate(end_state.told) AS place;

CREATE TABLE chain_ends ENGINE = Memory AS
SELECT site, visitor_id, ending.chain AS chain, ending.carts AS carts, ending.products AS products
FROM walked
ARRAY JOIN end_state.ends AS ending;
