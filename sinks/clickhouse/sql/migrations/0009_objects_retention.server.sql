-- Servers only, and from written_at: like the retention of the other facts.
ALTER TABLE pathline.objects MODIFY TTL written_at + INTERVAL 400 DAY
;
ALTER TABLE pathline.participations MODIFY TTL written_at + INTERVAL 400 DAY
;
ALTER TABLE pathline.outcomes MODIFY TTL written_at + INTERVAL 400 DAY
;
ALTER TABLE pathline.orders MODIFY TTL written_at + INTERVAL 400 DAY
;
ALTER TABLE pathline.order_changes MODIFY TTL written_at + INTERVAL 400 DAY
