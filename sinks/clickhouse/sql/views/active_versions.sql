CREATE OR REPLACE VIEW bi.active_versions
(
    `journey` String COMMENT 'Name of the journey definition',
    `version` UInt16 COMMENT 'The version that the default views show'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT journey, version
FROM pathline.active_versions FINAL
COMMENT 'One row per journey: its active version. Set by the option --active of a run'
