-- Embedded only: statistics of every column took a tenth of each insert. They help to choose among plans and to skip
-- parts by columns that are not in the key; our views filter on the key.
ALTER TABLE pathline.sessions MODIFY SETTING auto_statistics_types = ''
;
ALTER TABLE pathline.transitions MODIFY SETTING auto_statistics_types = ''
;
ALTER TABLE pathline.objects MODIFY SETTING auto_statistics_types = ''
;
ALTER TABLE pathline.participations MODIFY SETTING auto_statistics_types = ''
;
ALTER TABLE pathline.orders MODIFY SETTING auto_statistics_types = ''
;
ALTER TABLE pathline.outcomes MODIFY SETTING auto_statistics_types = ''
;
ALTER TABLE pathline.funnel_minute MODIFY SETTING auto_statistics_types = ''
