ALTER TABLE pathline.rejected_events ADD COLUMN IF NOT EXISTS `headers` String AFTER payload;
ALTER TABLE pathline.late_events ADD COLUMN IF NOT EXISTS `headers` String AFTER payload
