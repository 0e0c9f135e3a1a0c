-- Servers only, and from written_at: like the retention of the other tables.
ALTER TABLE pathline.events MODIFY TTL written_at + INTERVAL 30 DAY
