"""The vault's words of steering: descriptions of workers, messages to them, names of teams.

May not import anything of this project. Look next: `app.platform.vault`.
"""

from alembic import op

revision = "0003_steering"
down_revision = "0002_job_sources"

VAULT = """
CREATE TABLE vault.worker_description (
  realm bigint NOT NULL, worker uuid NOT NULL, description text NOT NULL, PRIMARY KEY (realm, worker));
CREATE TABLE vault.worker_message (
  realm bigint NOT NULL, message uuid NOT NULL, worker uuid, sender uuid NOT NULL, words text NOT NULL,
  origin text NOT NULL, sent_at timestamptz NOT NULL, expires_at timestamptz NOT NULL,
  PRIMARY KEY (realm, message));
CREATE INDEX ON vault.worker_message (realm, expires_at);
CREATE INDEX ON vault.worker_message (realm, sent_at, message);
CREATE TABLE vault.team (
  realm bigint NOT NULL, team uuid NOT NULL, name text NOT NULL, info text NOT NULL, PRIMARY KEY (realm, team));
CREATE UNIQUE INDEX team_name ON vault.team (realm, lower(name));
GRANT SELECT, INSERT, UPDATE, DELETE ON vault.worker_description, vault.worker_message, vault.team TO hoard_app;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(VAULT)
