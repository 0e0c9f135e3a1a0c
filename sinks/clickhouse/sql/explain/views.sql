-- The views of this database: an older one has fewer.
SELECT name FROM system.tables WHERE database = 'bi'
