"""The vault keeps where webhooks lead, and what came of telling them.

May not import anything of this project. Look next: `app.platform.vault`, `app.webhooks.record`.
"""

from alembic import op

revision = "0007_webhooks"
down_revision = "0006_told_forms"

VAULT = """
CREATE TABLE vault.webhook (
  realm bigint NOT NULL, webhook uuid NOT NULL, owner uuid NOT NULL, url text NOT NULL, failing_since timestamptz,
  PRIMARY KEY (realm, webhook));
CREATE TABLE vault.job_webhook (
  realm bigint NOT NULL, job uuid NOT NULL, owner uuid NOT NULL, url text NOT NULL, events jsonb NOT NULL,
  secret text NOT NULL, PRIMARY KEY (realm, job));
CREATE TABLE vault.webhook_delivery (
  realm bigint NOT NULL, webhook uuid NOT NULL, position bigint NOT NULL, id uuid NOT NULL, owner uuid NOT NULL,
  job uuid, generation uuid, event text NOT NULL, happened_at timestamptz NOT NULL, state text NOT NULL,
  tries bigint NOT NULL, attempts jsonb NOT NULL, next_at timestamptz, asked_at timestamptz, claimed_until timestamptz,
  PRIMARY KEY (realm, webhook, position));
CREATE UNIQUE INDEX ON vault.webhook_delivery (realm, id);
CREATE INDEX ON vault.webhook_delivery (realm, position);
CREATE INDEX ON vault.webhook_delivery (realm, happened_at);
CREATE INDEX ON vault.webhook_delivery (realm, webhook, next_at, position) WHERE state = 'PENDING';
GRANT SELECT, INSERT, UPDATE, DELETE ON vault.webhook, vault.job_webhook, vault.webhook_delivery TO hoard_app;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(VAULT)
