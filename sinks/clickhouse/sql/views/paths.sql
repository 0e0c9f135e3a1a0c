-- Each session gives one edge per stay: to the stage that came next, and from the last to how the session ended.
CREATE OR REPLACE VIEW bi.paths
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `journey` String COMMENT 'Name of the journey definition',
    `journey_version` UInt16 COMMENT 'Its version; never sum across versions',
    `day` Date COMMENT 'Day on which the session started',
    `step` UInt16 COMMENT 'Place of the edge in the path, from 1: edges of one step add up to the sessions that got so far',
    `from_stage` String COMMENT 'Stage that was left, or in which the session ended',
    `to_stage` String COMMENT 'Stage that came next; at the end (converted), (abandoned), (bounced), (browsed) or (open)',
    `sessions` UInt64 COMMENT 'Sessions that took this edge at this step'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    journey,
    journey_version,
    day,
    step,
    from_stage,
    to_stage,
    count() AS sessions
FROM
(
    SELECT
        site,
        journey,
        journey_version,
        toDate(time) AS day,
        toUInt16(nth) AS step,
        path[nth] AS from_stage,
        if(nth < length(path), path[nth + 1], concat('(', outcome, ')')) AS to_stage
    FROM bi.session_stages
    ARRAY JOIN arrayEnumerate(path) AS nth
)
GROUP BY site, journey, journey_version, day, step, from_stage, to_stage
COMMENT 'Which way sessions went through the stages, edge by edge: for Sankey pictures. A path holds its first 16 stays'
