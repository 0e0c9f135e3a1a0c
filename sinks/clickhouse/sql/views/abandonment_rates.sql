CREATE OR REPLACE VIEW bi.abandonment_rates
(
    `site` String COMMENT 'Shop or app that the events belong to',
    `journey` String COMMENT 'Name of the journey definition',
    `journey_version` UInt16 COMMENT 'Its version; never sum across versions',
    `time` DateTime('UTC') COMMENT 'Day on which the object was opened: the cohort',
    `kind` String COMMENT 'browse, cart, checkout or payment',
    `device` String COMMENT 'Kind of device that opened it, empty when not known',
    `channel` String COMMENT 'Marketing channel, empty when not known',
    `currency` String COMMENT 'ISO code of the values; never sum these across currencies',
    `created` UInt64 COMMENT 'Objects opened on that day = open + settled',
    `open` UInt64 COMMENT 'Of these, still undecided: neither lost nor won; with those forgotten because too many were open (bi.limits)',
    `settled` UInt64 COMMENT 'Of these, decided = completed + withdrawn + abandoned',
    `completed` UInt64 COMMENT 'Ordered by the deadline (browsing: or went on to a cart); with those that a late order made void',
    `withdrawn` UInt64 COMMENT 'Emptied or cancelled by the visitor',
    `abandoned` UInt64 COMMENT 'Abandoned at the deadline, whatever came later',
    `recovered` UInt64 COMMENT 'Of the abandoned, ordered within the recovery window',
    `rate_at_deadline` Nullable(Float64) COMMENT '1 - completed / settled; none, never 0, while nothing is settled. To combine rows add up the counts first',
    `rate_after_recovery` Nullable(Float64) COMMENT '1 - (completed + recovered) / settled',
    `value_settled` Decimal(38, 4) COMMENT 'Value of the settled, in currency',
    `value_abandoned` Decimal(38, 4) COMMENT 'Value of the abandoned, in currency',
    `value_recovered` Decimal(38, 4) COMMENT 'Of that, the value at risk of those recovered, in currency',
    `value_rate_at_deadline` Nullable(Float64) COMMENT 'Share of the settled value that was not completed',
    `value_rate_after_recovery` Nullable(Float64) COMMENT 'Share of the settled value that was neither completed nor recovered'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    site,
    journey,
    journey_version,
    day AS time,
    kind,
    device,
    channel,
    currency,
    count() AS created,
    countIf(final_state = 'open') AS open,
    created - open AS settled,
    countIf(final_state IN ('completed', 'void')) AS completed,
    countIf(final_state = 'withdrawn') AS withdrawn,
    countIf(final_state IN ('abandoned', 'recovered', 'expired')) AS abandoned,
    countIf(final_state = 'recovered') AS recovered,
    if(settled = 0, NULL, 1 - completed / settled) AS rate_at_deadline,
    if(settled = 0, NULL, 1 - (completed + recovered) / settled) AS rate_after_recovery,
    sumIf(value_at_risk, final_state != 'open') AS value_settled,
    sumIf(value_at_risk, final_state IN ('abandoned', 'recovered', 'expired')) AS value_abandoned,
    sumIf(value_at_risk, final_state = 'recovered') AS value_recovered,
    if(value_settled = 0, NULL, 1 - toFloat64(sumIf(value_at_risk, final_state IN ('completed', 'void'))) / toFloat64(value_settled)) AS value_rate_at_deadline,
    if(value_settled = 0, NULL, 1 - toFloat64(sumIf(value_at_risk, final_state IN ('completed', 'void', 'recovered'))) / toFloat64(value_settled)) AS value_rate_after_recovery
FROM
(
    SELECT
        site, journey, journey_version, toStartOfDay(opened_at) AS day, kind, device, channel, currency, final_state, value_at_risk
    FROM bi.abandonments
)
GROUP BY site, journey, journey_version, day, kind, device, channel, currency
COMMENT 'Of the objects opened on a day: how many were completed, abandoned, recovered, and how many are still open'
