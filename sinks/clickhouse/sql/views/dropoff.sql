CREATE OR REPLACE VIEW bi.dropoff
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `journey` String COMMENT 'Name of the journey definition',
    `journey_version` UInt16 COMMENT 'Its version; never sum across versions',
    `time` DateTime('UTC') COMMENT 'Hour in which the stage was entered: the cohort',
    `stage` String COMMENT 'Stage of the journey',
    `rank` UInt8 COMMENT 'Its place in the journey, from 1',
    `device` String COMMENT 'Kind of device at entry, empty when not known',
    `channel` String COMMENT 'Marketing channel at entry, empty when not known',
    `entered` UInt64 COMMENT 'Stays that began in this hour = open + settled',
    `open` UInt64 COMMENT 'Of these, not yet settled: neither lost nor won',
    `settled` UInt64 COMMENT 'Of these, settled = advanced + dropped',
    `advanced` UInt64 COMMENT 'Settled and went on, or converted',
    `dropped` UInt64 COMMENT 'Settled and did not go on',
    `dropoff_rate` Nullable(Float64) COMMENT 'dropped / settled; none, never 0, while nothing is settled. To combine rows add up the counts first'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    journey,
    journey_version,
    time,
    stage,
    rank,
    device,
    channel,
    count() AS entered,
    countIf(is_settled = 0) AS open,
    countIf(is_settled = 1) AS settled,
    countIf(is_settled = 1 AND left_by IN ('advanced', 'converted')) AS advanced,
    settled - advanced AS dropped,
    if(settled = 0, NULL, dropped / settled) AS dropoff_rate
FROM
(
    SELECT
        site, journey, journey_version, toStartOfHour(entered_at) AS time, stage, rank, device, channel,
        settled AS is_settled, left_by
    FROM bi.stage_visits
)
GROUP BY site, journey, journey_version, time, stage, rank, device, channel
COMMENT 'Of those who entered a stage in an hour: how many went on, how many dropped off, how many are still open'
