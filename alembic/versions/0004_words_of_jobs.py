"""For whom a service asked, and what workers note of their results.

May not import anything of this project. Look next: `app.platform.vault`.
"""

from alembic import op

revision = "0004_words_of_jobs"
down_revision = "0003_steering"


def upgrade() -> None:
    """Add the columns; rows from before have neither."""
    op.execute("ALTER TABLE vault.job ADD COLUMN proxied_account text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE vault.result ADD COLUMN notes text")
