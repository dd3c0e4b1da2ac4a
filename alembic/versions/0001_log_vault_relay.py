"""The log (append-only, partitioned by position), the vault, the relay's bookkeeping, the registry of projections.

May not import anything of this project. The owner's role makes everything; the application's role
(`hoard_app`) may insert and read the log, never change it.
"""

from alembic import op

revision = "0001"
down_revision = None

LOG = """
CREATE SCHEMA log;
CREATE TABLE log.lock (realm bigint PRIMARY KEY);
INSERT INTO log.lock VALUES (0);

CREATE TABLE log.event (
  realm bigint NOT NULL, position bigint NOT NULL CHECK (position > 0), event_id uuid NOT NULL,
  stream text NOT NULL, type text NOT NULL, schema_version bigint NOT NULL, subject uuid,
  occurred_at timestamptz NOT NULL, data text NOT NULL, metadata text NOT NULL, hash bytea NOT NULL,
  PRIMARY KEY (realm, position)
) PARTITION BY RANGE (position);
CREATE INDEX ON log.event (realm, stream, position);
CREATE INDEX ON log.event (realm, type, position);
CREATE INDEX ON log.event USING brin (occurred_at) WITH (pages_per_range = 32);

CREATE TABLE log.posting (
  realm bigint NOT NULL, position bigint NOT NULL, ordinal bigint NOT NULL,
  account text NOT NULL, amount bigint NOT NULL, balance bigint,
  PRIMARY KEY (realm, position, ordinal),
  CONSTRAINT posting_registered_not_negative CHECK (
    balance IS NULL OR balance >= 0 OR account = 'user:00000000-0000-0000-0000-000000000000')
) PARTITION BY RANGE (position);
CREATE INDEX ON log.posting (realm, account, position DESC);

COMMENT ON SCHEMA log IS 'store: log. Every fact, append-only, public';

CREATE FUNCTION log.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the log is append-only: % on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION log.guard(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                 'FOR EACH STATEMENT EXECUTE FUNCTION log.refuse()', target);
END $$;
SELECT log.guard('log.event'), log.guard('log.posting');

-- Partitions of 5 million positions, always two ahead of the last event. SECURITY DEFINER: whoever calls it,
-- the owner makes them; the application needs no right to create tables.
CREATE FUNCTION log.ensure_partitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, log AS $$
DECLARE
  width constant bigint := 5000000; last bigint; made integer := 0; wanted bigint; parent text; part text;
BEGIN
  SELECT coalesce(max(position), 0) / width INTO last FROM log.event;
  FOR wanted IN 0 .. last + 2 LOOP
    FOREACH parent IN ARRAY ARRAY['event', 'posting'] LOOP
      part := format('%s_%s', parent, lpad(wanted::text, 5, '0'));
      IF to_regclass('log.' || part) IS NULL THEN
        EXECUTE format('CREATE TABLE log.%I PARTITION OF log.%I FOR VALUES FROM (%s) TO (%s)',
                       part, parent, wanted * width, (wanted + 1) * width);
        PERFORM log.guard(format('log.%I', part)::regclass);
        made := made + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN made;
END $$;
SELECT log.ensure_partitions();
"""

VAULT = """
CREATE SCHEMA vault;
COMMENT ON SCHEMA vault IS 'store: vault. Authoritative, erasable, never read by a projection';

CREATE TABLE vault.person (
  realm bigint NOT NULL, subject uuid NOT NULL, username text NOT NULL, number bigint NOT NULL,
  PRIMARY KEY (realm, subject), UNIQUE (realm, number));
CREATE TABLE vault.api_key (
  realm bigint NOT NULL, hash bytea NOT NULL, key uuid NOT NULL, subject uuid NOT NULL,
  PRIMARY KEY (realm, hash));
CREATE TABLE vault.job (
  realm bigint NOT NULL, job uuid NOT NULL, prompt text NOT NULL, negative_prompt text NOT NULL, payload text NOT NULL,
  PRIMARY KEY (realm, job));
CREATE TABLE vault.generation (
  realm bigint NOT NULL, generation uuid NOT NULL, job uuid NOT NULL, seed bigint NOT NULL,
  PRIMARY KEY (realm, generation));
CREATE INDEX ON vault.generation (realm, job);
CREATE TABLE vault.result (
  realm bigint NOT NULL, generation uuid NOT NULL, lease uuid NOT NULL, seed text, metadata text,
  PRIMARY KEY (realm, generation));
CREATE TABLE vault.worker (
  realm bigint NOT NULL, worker uuid NOT NULL, name text NOT NULL, PRIMARY KEY (realm, worker));
CREATE UNIQUE INDEX worker_name ON vault.worker (realm, lower(name));
CREATE TABLE vault.maintenance (
  realm bigint NOT NULL, worker uuid NOT NULL, message text NOT NULL, PRIMARY KEY (realm, worker));
CREATE TABLE vault.note (
  realm bigint NOT NULL, command uuid NOT NULL, words text NOT NULL, PRIMARY KEY (realm, command));

CREATE TABLE vault.command (
  realm bigint NOT NULL, scope text NOT NULL, key text NOT NULL, day date NOT NULL,
  request_hash bytea NOT NULL, outcome text NOT NULL, position bigint NOT NULL,
  PRIMARY KEY (realm, scope, key, day)) PARTITION BY RANGE (day);

-- Outcomes of commands are kept 7 days in daily partitions, made two weeks ahead.
CREATE FUNCTION vault.ensure_partitions(today date DEFAULT current_date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, vault AS $$
DECLARE
  wanted date; part text; made integer := 0; old record;
BEGIN
  FOR wanted IN SELECT generate_series(today - 1, today + 14, interval '1 day')::date LOOP
    part := 'command_' || to_char(wanted, 'YYYYMMDD');
    IF to_regclass('vault.' || part) IS NULL THEN
      EXECUTE format('CREATE TABLE vault.%I PARTITION OF vault.command FOR VALUES FROM (%L) TO (%L)',
                     part, wanted, wanted + 1);
      made := made + 1;
    END IF;
  END LOOP;
  FOR old IN SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'vault' AND c.relname ~ '^command_[0-9]{8}$'
               AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - 8 LOOP
    EXECUTE format('DROP TABLE vault.%I', old.relname);
  END LOOP;
  RETURN made;
END $$;
SELECT vault.ensure_partitions();
"""

RELAY = """
CREATE SCHEMA relay;
COMMENT ON SCHEMA relay IS 'store: projection. Who follows the log and how far; dropped, it starts again from the first event';
CREATE TABLE relay.leader (realm bigint PRIMARY KEY, epoch bigint NOT NULL);
INSERT INTO relay.leader VALUES (0, 0);
CREATE TABLE relay.checkpoint (realm bigint NOT NULL, follower text NOT NULL, position bigint NOT NULL,
  PRIMARY KEY (realm, follower));
CREATE TABLE relay.reaction (
  realm bigint NOT NULL, position bigint NOT NULL, actor text NOT NULL, subject uuid NOT NULL,
  sent_at timestamptz NOT NULL, attempts bigint NOT NULL, completed_by bigint,
  PRIMARY KEY (realm, position, actor));
CREATE INDEX ON relay.reaction (realm, sent_at) WHERE completed_by IS NULL;
CREATE INDEX ON relay.reaction (realm, actor, subject);

-- Which projections are live, in which version and build. The tables are made from the log, not by migrations.
CREATE TABLE relay.projection (realm bigint NOT NULL, name text NOT NULL, version bigint NOT NULL, build bigint NOT NULL,
  PRIMARY KEY (realm, name));
"""

GRANTS = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hoard_app') THEN CREATE ROLE hoard_app LOGIN; END IF;
END $$;
GRANT USAGE ON SCHEMA log, vault, relay TO hoard_app;
GRANT SELECT, INSERT ON log.event, log.posting TO hoard_app;
GRANT SELECT, UPDATE ON log.lock TO hoard_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON vault.person, vault.api_key, vault.job, vault.generation, vault.result,
  vault.worker, vault.maintenance, vault.note, vault.command TO hoard_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON relay.leader, relay.checkpoint, relay.reaction TO hoard_app;
GRANT SELECT ON relay.projection TO hoard_app;
REVOKE ALL ON FUNCTION log.ensure_partitions(), vault.ensure_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.ensure_partitions(), vault.ensure_partitions(date) TO hoard_app;
"""


def upgrade() -> None:
    """Make everything."""
    for block in (LOG, VAULT, RELAY, GRANTS):
        op.execute(block)
