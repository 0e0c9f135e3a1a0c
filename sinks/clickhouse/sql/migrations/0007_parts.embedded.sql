-- Embedded only: a part of less than 256 MB is one file. Beyond 10 MB (the default) an insert made a file or two
-- for each of some sixty columns, and making files took half of the engine's time.
ALTER TABLE pathline.sessions MODIFY SETTING min_bytes_for_wide_part = 268435456
;
ALTER TABLE pathline.transitions MODIFY SETTING min_bytes_for_wide_part = 268435456
