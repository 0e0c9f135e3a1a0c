-- Where the semantics can be read in two ways, one function each: the reading that holds, and the other one.
-- All were found by comparison; whoever decides otherwise changes a line here.

-- What is removed takes its value out of a cart (2). A checkout or payment keeps what its own last event said.
-- Other reading: it takes the value out of whatever is open (kind > 1).
CREATE FUNCTION loses_value AS (kind) -> kind = 2;

-- A late order resolves things at the time at which it was placed, though that was known later.
-- Other reading: at the time at which it took effect.
CREATE FUNCTION resolving AS (placed_at, took_effect_at) -> placed_at;

-- A late order completes an open chain that had begun when it was placed, as it voids one.
-- Other reading: only if the open object itself had been opened, which else is resolved before it was opened.
CREATE FUNCTION was_there AS (chain_opened_at, opened_at, placed_at) -> chain_opened_at <= placed_at;

-- More than 16 products are as good as none, in a chain and in an order.
-- Other reading: an order knows all of its products.
CREATE FUNCTION known AS (products) -> if(length(products) > 16, [], products);
CREATE FUNCTION known_to_order AS (products) -> known(products);

-- The currency of a chain is that of its first event with a value that counts for the object open then.
-- Other reading: of its first event with a value.
CREATE FUNCTION gives_currency AS (kind, rank, what, value) ->
    value > 0 AND (rank = kind OR kind = 2 AND what = 'remove');
