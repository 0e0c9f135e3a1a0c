CREATE OR REPLACE VIEW bi.alerts
(
    `alert_id` String COMMENT 'Id of the episode, hex text: the same in every replay',
    `site` String COMMENT 'Site, where the alert is of one; empty for all',
    `journey` String COMMENT 'Journey that the stage belongs to',
    `journey_version` UInt16 COMMENT 'Its version',
    `rule` String COMMENT 'What was found: drop (fewer go on than chance allows) or silence (nobody comes)',
    `stage` String COMMENT 'Stage whose visitors do not go on, or kind of object, like payment (abandonment): of those who came to it fewer went on to a higher kind or an order; for silence the stage that nobody enters',
    `scope` String COMMENT 'Whom it was found in: a segment like device=mobile; empty for everybody',
    `state` String COMMENT 'firing or resolved',
    `started_at` DateTime('UTC') COMMENT 'First minute of entry that is part of it',
    `detected_at` DateTime('UTC') COMMENT 'Minute with whose completion it was called',
    `resolved_at` Nullable(DateTime('UTC')) COMMENT 'When it was as usual again; NULL while it is firing',
    `observed` Float64 COMMENT 'Rule drop: share of the entrants who went on within the horizon of the stage; silence: entrants a minute',
    `expected` Float64 COMMENT 'What is usual at this hour of the week',
    `low` Float64 COMMENT 'Lower end of where 19 of 20 such counts lie',
    `high` Float64 COMMENT 'Upper end of it',
    `entrants` UInt64 COMMENT 'Whom it was counted on',
    `lost_orders` Float64 COMMENT 'Orders that are missing: those who did not go on, by how many of those who do order',
    `lost_orders_low` Float64 COMMENT 'Lower end of its interval, 19 of 20',
    `lost_orders_high` Float64 COMMENT 'Upper end of it',
    `lost_value` Decimal(38, 4) COMMENT 'What these orders would have been worth, currencies added as they are',
    `lost_value_low` Decimal(38, 4) COMMENT 'Lower end of its interval',
    `lost_value_high` Decimal(38, 4) COMMENT 'Upper end of it',
    `cause` String COMMENT 'Smallest segment that explains it, or pair like country=DE, device=mobile (both at once); empty when it is everybody',
    `verdict` String COMMENT 'shop (people are missing), tracking (only what is told of them) or unsure',
    `severity` String COMMENT 'info, warning or critical, by value lost per hour',
    `rank` UInt8 COMMENT 'Place of the stage in the journey; of a kind of object (browse 1, cart 2, checkout 3, payment 4) 16 times its number plus the place of its stage',
    `mix` Float64 COMMENT 'Share of the loss that comes from other people, not from another rate',
    `mix_dimension` String COMMENT 'By which dimension the mix is another',
    `unaffected` Array(String) COMMENT 'Large segments in which it is not',
    `smallest_drop` Float64 COMMENT 'Least relative drop that can be seen here within half an hour',
    `reason` String COMMENT 'The same in words',
    `version` UInt32 COMMENT 'How often the episode has changed'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT *
FROM bi.alert_changes
ORDER BY alert_id, version DESC
LIMIT 1 BY alert_id
COMMENT 'Drop-off alerts: an episode per row, as it stands'
