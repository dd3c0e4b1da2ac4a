"""Alembic's environment: migrates the log and the vault with the owner's role, one transaction a migration.

Projections are no business of migrations: they are made from the log (`projections.store.build`). A migration may
import nothing of this project. Look next: `alembic/versions`, `app.operations.migrate`.
"""

import os

from alembic import context
from sqlalchemy import NullPool, create_engine, text

LOCK_KEY = 4_850_101


def run() -> None:
    """Upgrade under an advisory lock, with short lock and statement timeouts."""
    url = os.environ["HOARD_MIGRATE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, poolclass=NullPool)  # a migration that fails leaves no connection either
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
        connection.execute(text("SET lock_timeout = '10s'"))
        connection.commit()
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
