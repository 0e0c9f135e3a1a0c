-- The version of each journey that the views show.
SELECT journey, version FROM bi.active_versions
