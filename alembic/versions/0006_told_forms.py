"""What forms told of pictures at URLs, to be given again; a URL is known again by what it makes under the pepper.

May not import anything of this project. Look next: `app.platform.vault`.
"""

from alembic import op

revision = "0006_told_forms"
down_revision = "0005_words_of_results"

TOLD = """
ALTER TABLE vault.source ADD COLUMN digest uuid;
CREATE INDEX ON vault.source (realm, digest) WHERE digest IS NOT NULL;
CREATE TABLE vault.told (
  realm bigint NOT NULL, generation uuid NOT NULL, job uuid NOT NULL, lease uuid NOT NULL, source uuid NOT NULL,
  form text NOT NULL, nsfw boolean NOT NULL, told text NOT NULL, expires_at timestamptz NOT NULL,
  PRIMARY KEY (realm, generation));
CREATE INDEX ON vault.told (realm, source, form);
CREATE INDEX ON vault.told (realm, expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON vault.told TO hoard_app;
"""


def upgrade() -> None:
    """Add the column, make the table."""
    op.execute(TOLD)
