"""What text workers write and interrogation workers tell.

May not import anything of this project. Look next: `app.platform.vault`.
"""

from alembic import op

revision = "0005_words_of_results"
down_revision = "0004_words_of_jobs"


def upgrade() -> None:
    """Add the columns; rows from before have neither."""
    op.execute("ALTER TABLE vault.result ADD COLUMN text text, ADD COLUMN form text")
