-- Which version of a journey the default views show: one row per journey, so that there can never be two.
-- The row written last holds: what a run says at its start.
CREATE TABLE IF NOT EXISTS pathline.active_versions
(
    `journey` LowCardinality(String),
    `version` UInt16,
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY journey
COMMENT 'The version of each journey that the default views show'
;
-- Of what was written before there was this table, the newest version: what a run would say.
INSERT INTO pathline.active_versions (journey, version)
SELECT journey, max(journey_version) FROM pathline.transitions GROUP BY journey
