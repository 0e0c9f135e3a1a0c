-- What must be there before anything can be recorded. Repeatable; run at every start.
CREATE DATABASE IF NOT EXISTS pathline COMMENT 'Written by Pathline only; read bi instead'
;
CREATE DATABASE IF NOT EXISTS bi COMMENT 'Views to read: plain types, each row once'
;
CREATE TABLE IF NOT EXISTS pathline.migrations
(
    number UInt16,
    name String,
    checksum String COMMENT 'SHA-256 of the file as it was applied',
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY number
COMMENT 'Migrations applied to this database'
;
CREATE TABLE IF NOT EXISTS pathline.view_versions
(
    name String,
    checksum String COMMENT 'SHA-256 of the text from which the view was made',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY name
COMMENT 'Which text each view of bi was made from: another text, and it is made again'
;
CREATE TABLE IF NOT EXISTS pathline.deployment
(
    id String,
    shards UInt32,
    state_format UInt32,
    created_at DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(created_at)
ORDER BY (id, shards, state_format)
COMMENT 'Whose rows these are: exactly one row'
