"""${message}

May not import anything of this project. Expand first (old processes still serve), contract in a later release.
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """${message}"""
    ${upgrades if upgrades else "op.execute('')"}
