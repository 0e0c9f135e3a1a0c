-- What became of sessions: one row per outcome, abandoned ones by the stage at which they were given up.
-- `open` may still become anything. bounced: a single event; browsed: more, but no stage was at stake.
SELECT journey, journey_version, outcome, abandoned_stage, count() AS sessions
FROM bi.session_stages
GROUP BY journey, journey_version, outcome, abandoned_stage
ORDER BY journey, journey_version, sessions DESC
