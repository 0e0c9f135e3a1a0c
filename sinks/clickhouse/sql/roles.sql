-- For the administrator of a server, once. Pathline itself never runs this; who runs it then grants the roles:
--     CREATE USER pathline IDENTIFIED BY '...'; GRANT pathline_writer TO pathline;
--     CREATE USER bi IDENTIFIED BY '...'; GRANT pathline_reader TO bi;
CREATE ROLE IF NOT EXISTS pathline_writer
;
-- It makes, changes, fills and (`pathline reset`) drops its two databases, and sees no other.
GRANT CREATE DATABASE, DROP DATABASE, CREATE TABLE, DROP TABLE, CREATE VIEW, DROP VIEW, ALTER TABLE, SELECT, INSERT ON pathline.* TO pathline_writer
;
GRANT CREATE DATABASE, DROP DATABASE, CREATE VIEW, DROP VIEW, DROP TABLE, SELECT ON bi.* TO pathline_writer
;
CREATE ROLE IF NOT EXISTS pathline_reader SETTINGS readonly = 2, max_execution_time = 60
;
-- The views run with the right of who made them (DEFINER), so this is all that a reader needs.
GRANT SELECT ON bi.* TO pathline_reader
