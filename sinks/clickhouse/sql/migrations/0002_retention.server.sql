-- Servers only: an embedded database keeps everything until its owner says otherwise.
-- From written_at, not from event time: replaying old history must not vanish.
ALTER TABLE pathline.sessions MODIFY TTL written_at + INTERVAL 400 DAY
;
ALTER TABLE pathline.transitions MODIFY TTL written_at + INTERVAL 400 DAY
;
ALTER TABLE pathline.funnel_minute MODIFY TTL written_at + INTERVAL 90 DAY
;
ALTER TABLE pathline.conservation MODIFY TTL written_at + INTERVAL 90 DAY
;
ALTER TABLE pathline.late_events MODIFY TTL written_at + INTERVAL 30 DAY
;
ALTER TABLE pathline.rejected_events MODIFY TTL written_at + INTERVAL 30 DAY
