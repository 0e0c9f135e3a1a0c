-- From when they were last computed.
ALTER TABLE pathline.funnel_hour MODIFY TTL as_of + INTERVAL 800 DAY
;
ALTER TABLE pathline.funnel_day MODIFY TTL as_of + INTERVAL 800 DAY
