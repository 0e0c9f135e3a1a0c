-- Sessions of each visitor, over the events that are their own (not passive, not late), in total order.
-- A new one begins after a gap of more than 30 min, or more than 24 h after the start of the last.
CREATE TABLE visits ENGINE = Memory AS
SELECT
    site,
    visitor_id,
    arraySort(groupArray((event_at, event_id, partition, position))) AS acts,
    arrayFold(
        (state, act) -> if(
            act.1 - state.2 > 30 * 60000 OR act.1 - state.1 > 24 * 3600000,
            (act.1, act.1, state.3 + 1, arrayPushBack(state.4, state.3 + 1)),
            (state.1, act.1, state.3, arrayPushBack(state.4, state.3))
        ),
        acts,
        -- started_at and last event of the current session, its number, the number of each event's session
        (toInt64(0), toInt64(0), toInt64(0), CAST([], 'Array(Int64)'))
    ).4 AS numbers
FROM events
WHERE NOT passive
GROUP BY site, visitor_id;

CREATE TABLE session_events ENGINE = Memory AS
SELECT site, visitor_id, act.3 AS partition, act.4 AS position, session
FROM visits
ARRAY JOIN acts AS act, numbers AS session;

-- A session is over when 30 min have passed since its last event, or when an event begins the next one sooner.
CREATE TABLE sessions ENGINE = Memory AS
SELECT
    *,
    leadInFrame(started_at, 1, toInt64(9e15)) OVER (
        PARTITION BY site, visitor_id ORDER BY session ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    ) AS next_at,
    least(ended_at + 30 * 60000, next_at) AS closed_at
FROM (
    SELECT
        site,
        visitor_id,
        session,
        min(event_at) AS started_at,
        max(event_at) AS ended_at,
        count() AS events,
        countIf(event IN (
            'page_view', 'screen_view', 'view_promotion', 'select_promotion', 'view_item_list', 'select_item',
            'view_item', 'search', 'view_search_results', 'add_to_cart', 'view_cart', 'remove_from_cart',
            'begin_checkout', 'add_shipping_info', 'add_payment_info', 'payment_failed'
        )) AS short_of_order,
        -- A repeat of an order enters no stage.
        countIf((partition, position) IN (SELECT partition, position FROM orders)) AS orders
    FROM events
    JOIN session_events USING (site, visitor_id, partition, position)
    GROUP BY site, visitor_id, session
);
