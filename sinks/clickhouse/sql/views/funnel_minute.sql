CREATE OR REPLACE VIEW bi.funnel_minute
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `journey` String COMMENT 'Name of the journey definition',
    `journey_version` UInt16 COMMENT 'Its version; never sum across versions',
    `time` DateTime('UTC') COMMENT 'Minute in which it occurred; filter on this: it is the sorting key',
    `stage` String COMMENT 'Stage of the journey',
    `rank` UInt8 COMMENT 'Its place in the journey, from 1',
    `device` String COMMENT 'Kind of device, empty when not known',
    `channel` String COMMENT 'Marketing channel, empty when not known',
    `currency` String COMMENT 'ISO code of the value; never sum across currencies',
    `entered` UInt64 COMMENT 'Stays that began in this minute',
    `advanced` UInt64 COMMENT 'Stays left forwards in this minute',
    `abandoned` UInt64 COMMENT 'Stays or objects abandoned in this minute',
    `recovered` UInt64 COMMENT 'Abandonments recovered in this minute',
    `voided` UInt64 COMMENT 'Abandonments taken back in this minute',
    `converted` UInt64 COMMENT 'Conversions in this minute',
    `value` Decimal(38, 4) COMMENT 'Value converted in this minute, in currency'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    journey,
    journey_version,
    time,
    stage,
    max(f.rank) AS rank,
    device,
    channel,
    currency,
    sum(f.entered) AS entered,
    sum(f.advanced) AS advanced,
    sum(f.abandoned) AS abandoned,
    sum(f.recovered) AS recovered,
    sum(f.voided) AS voided,
    sum(f.converted) AS converted,
    sum(toDecimal128(f.value_e4, 4)) / 10000 AS value
FROM pathline.funnel_minute AS f FINAL
GROUP BY site, journey, journey_version, time, stage, device, channel, currency
COMMENT 'What occurred in each minute at each stage. For drop-off rates take bi.dropoff: those who left in a minute are not those who came in it'
