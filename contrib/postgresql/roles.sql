-- The rights of two kinds of nodes in one database (docs/nodes.md).
--
--   brevbro_mail          nodes with role = "mail" or "both": they own the tables, and bring them forward when they start
--   brevbro_access_point  nodes with role = "access-point": sealed bodies and what they need to be carried, nothing in the clear
--
-- Run it as a superuser, or as whoever owns the database, after a mail node has started once and made the tables, and again
-- after each upgrade:
--
--   psql -d brevbro -v ON_ERROR_STOP=1 -f roles.sql
--
-- It may be run again at any time. The schema is the one that [store] names; another one: psql -v schema=name.
-- How the roles log in (password, certificate, pg_hba.conf) is not decided here.

\if :{?schema}
\else
\set schema brevbro
\endif

BEGIN;

SELECT 'CREATE ROLE brevbro_access_point LOGIN' WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'brevbro_access_point') \gexec

SET LOCAL search_path TO :"schema";

-- Nothing that is not said below, whatever was granted before, and nothing that everybody has.
REVOKE ALL ON ALL TABLES IN SCHEMA :"schema" FROM PUBLIC, brevbro_access_point;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA :"schema" FROM PUBLIC, brevbro_access_point;
REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC, brevbro_access_point;
GRANT USAGE ON SCHEMA :"schema" TO brevbro_access_point;

-- Which version the tables are of.
GRANT SELECT ON schema_version TO brevbro_access_point;

-- Ids, addresses and states of messages; marks; work. A record is never removed in the DMZ.
GRANT SELECT, INSERT, UPDATE ON records TO brevbro_access_point;
GRANT SELECT, INSERT, UPDATE, DELETE ON notes, jobs, steps TO brevbro_access_point;
GRANT USAGE ON SEQUENCE tokens TO brevbro_access_point;

-- What happened is told, and cannot be read or changed: the journal is written by mail nodes.
GRANT INSERT ON told TO brevbro_access_point;
GRANT USAGE ON SEQUENCE told_order TO brevbro_access_point;

-- Envelopes, AS4 requests and signals. clear_blobs and clear_parts are not mentioned.
GRANT SELECT, INSERT, UPDATE, DELETE ON sealed_blobs, sealed_parts TO brevbro_access_point;

-- The names of keys: of its own, which it uses, and of those that it must not have.
GRANT SELECT, INSERT ON sealed_keys TO brevbro_access_point;
GRANT SELECT, INSERT, UPDATE, DELETE ON key_users TO brevbro_access_point;
GRANT SELECT ON clear_keys TO brevbro_access_point;

COMMIT;
