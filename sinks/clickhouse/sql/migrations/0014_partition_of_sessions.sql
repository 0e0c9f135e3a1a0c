ALTER TABLE pathline.sessions ADD COLUMN IF NOT EXISTS `partition` Int32 AFTER is_closed
