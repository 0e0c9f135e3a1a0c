-- The most used ways: edges by step. At each step an edge goes on to the next stage or ends: (converted), (abandoned),
-- (browsed), (bounced), or (open) as long as it may go on. For a Sankey picture take step and stage as the node.
SELECT
    journey,
    step,
    from_stage,
    to_stage,
    sum(p.sessions) AS sessions
FROM bi.paths AS p
GROUP BY journey, step, from_stage, to_stage
ORDER BY journey, step, sessions DESC, from_stage, to_stage
LIMIT 100
