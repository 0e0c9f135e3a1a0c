-- Embedded only, for the same reasons as those of sessions and transitions.
ALTER TABLE pathline.events MODIFY SETTING merge_selector_base = 10, min_bytes_for_wide_part = 268435456
