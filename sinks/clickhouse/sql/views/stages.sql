CREATE OR REPLACE VIEW bi.stages
(
    `journey` String COMMENT 'Name of the journey definition',
    `journey_version` UInt16 COMMENT 'Its version',
    `rank` UInt8 COMMENT 'Place of the stage in the journey, from 1: sort funnels by this',
    `stage` String COMMENT 'Name of the stage',
    `is_optional` UInt8 COMMENT '1 when passing it over is no skip',
    `is_conversion` UInt8 COMMENT '1 for the goal of the journey',
    `has_objects` UInt8 COMMENT '1 when the journey follows carts, checkouts and payments; the same for all its stages'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    journey,
    journey_version,
    rank,
    stage,
    toUInt8(is_optional) AS is_optional,
    toUInt8(is_conversion) AS is_conversion,
    toUInt8(has_objects) AS has_objects
FROM pathline.stages FINAL
COMMENT 'One row per stage of a journey definition, also of stages that nobody has reached'
