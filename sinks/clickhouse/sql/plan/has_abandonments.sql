-- Whether this database knows objects.
SELECT count() AS there FROM system.tables WHERE database = 'bi' AND name = 'abandonments_all'
