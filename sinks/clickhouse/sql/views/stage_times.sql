-- Those who left and those who are still there are never mixed: the time of the second is not over (censored).
CREATE OR REPLACE VIEW bi.stage_times
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `journey` String COMMENT 'Name of the journey definition',
    `journey_version` UInt16 COMMENT 'Its version; never sum across versions',
    `day` Date COMMENT 'Day on which the stage was entered: the cohort',
    `stage` String COMMENT 'Stage of the journey',
    `rank` UInt8 COMMENT 'Its place in the journey, from 1',
    `device` String COMMENT 'Kind of device at entry, empty when not known',
    `channel` String COMMENT 'Marketing channel at entry, empty when not known',
    `left` UInt64 COMMENT 'Stays that were left, forwards or back',
    `left_p50` Nullable(Float64) COMMENT 'Seconds in the stage of half of those who left; to 1 %',
    `left_p90` Nullable(Float64) COMMENT 'Of nine in ten of them',
    `left_p99` Nullable(Float64) COMMENT 'Of 99 in a hundred of them',
    `given_up` UInt64 COMMENT 'Stays that ended in being abandoned: their time is the one they took to give up',
    `given_up_p50` Nullable(Float64) COMMENT 'Seconds up to the deadline or the last event, of half of them',
    `open` UInt64 COMMENT 'Stays that are not over (censored): their time so far says at least, not how long',
    `open_p50` Nullable(Float64) COMMENT 'Seconds so far of half of those still there',
    `open_p90` Nullable(Float64) COMMENT 'Seconds so far of nine in ten of them'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    journey,
    journey_version,
    day,
    stage,
    rank,
    device,
    channel,
    countIf(way = 'left') AS left,
    if(left = 0, NULL, quantileDDIf(0.01, 0.5)(seconds, way = 'left')) AS left_p50,
    if(left = 0, NULL, quantileDDIf(0.01, 0.9)(seconds, way = 'left')) AS left_p90,
    if(left = 0, NULL, quantileDDIf(0.01, 0.99)(seconds, way = 'left')) AS left_p99,
    countIf(way = 'given up') AS given_up,
    if(given_up = 0, NULL, quantileDDIf(0.01, 0.5)(seconds, way = 'given up')) AS given_up_p50,
    countIf(way = 'open') AS open,
    if(open = 0, NULL, quantileDDIf(0.01, 0.5)(seconds, way = 'open')) AS open_p50,
    if(open = 0, NULL, quantileDDIf(0.01, 0.9)(seconds, way = 'open')) AS open_p90
FROM
(
    SELECT
        site, journey, journey_version, toDate(entered_at) AS day, stage, rank, device, channel, seconds,
        multiIf(left_by IN ('advanced', 'regressed'), 'left', left_by = 'abandoned', 'given up', left_by) AS way
    FROM bi.stage_visits
    WHERE left_by != 'converted'
)
GROUP BY site, journey, journey_version, day, stage, rank, device, channel
COMMENT 'How long people stay in a stage, by day of entry: those who left, those who gave up and those still there apart'
