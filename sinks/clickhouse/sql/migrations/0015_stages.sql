-- The stages of each definition, as a run says them at its start: their order, and which one is the goal.
CREATE TABLE IF NOT EXISTS pathline.stages
(
    `journey` LowCardinality(String),
    `journey_version` UInt16,
    `rank` UInt8,
    `stage` LowCardinality(String),
    `is_optional` Bool,
    `is_conversion` Bool,
    `has_objects` Bool,
    `written_at` DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY (journey, journey_version, rank)
COMMENT 'Stages of the journeys, in order; has_objects tells of the whole journey'
