-- Embedded only: what 0003 and 0007 say of sessions and transitions holds for carts, orders and minutes as well.
ALTER TABLE pathline.objects MODIFY SETTING merge_selector_base = 10, min_bytes_for_wide_part = 268435456
;
ALTER TABLE pathline.participations MODIFY SETTING merge_selector_base = 10, min_bytes_for_wide_part = 268435456
;
ALTER TABLE pathline.orders MODIFY SETTING merge_selector_base = 10, min_bytes_for_wide_part = 268435456
;
ALTER TABLE pathline.outcomes MODIFY SETTING merge_selector_base = 10, min_bytes_for_wide_part = 268435456
;
ALTER TABLE pathline.funnel_minute MODIFY SETTING merge_selector_base = 10, min_bytes_for_wide_part = 268435456
