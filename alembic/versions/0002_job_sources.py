"""The vault keeps where the source images of jobs lie, and until they are fetched where they come from.

May not import anything of this project.
"""

from alembic import op

revision = "0002_job_sources"
down_revision = "0001"

SOURCES = """
CREATE TABLE vault.source (
  realm bigint NOT NULL, job uuid NOT NULL, role text NOT NULL, ordinal bigint NOT NULL,
  strength double precision NOT NULL, key text NOT NULL, url text NOT NULL, alpha boolean NOT NULL,
  PRIMARY KEY (realm, job, role, ordinal));
GRANT SELECT, INSERT, UPDATE, DELETE ON vault.source TO hoard_app;
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(SOURCES)
