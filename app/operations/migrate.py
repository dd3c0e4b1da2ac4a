"""`hoard migrate`: bring log and vault to the newest schema, then build the projections this program knows.

Runs with the owner's role (`HOARD_MIGRATE_URL`) and may be run at any time, by several at once. Look next:
`alembic/versions`, `projections.store.build`.
"""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config

from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from projections.store.build import Progress, ensure

ROOT = Path(__file__).resolve().parents[2]


#: storage deletes results and sources after at least so many days: a second net behind the application's own deletion
EXPIRY_DAYS = 2
_DAY_SECONDS = 86_400


class MigrationError(Exception):
    """There is no owner's role to migrate with."""


def owner_url(settings: Settings) -> str:
    """The owner's database URL. Raises `MigrationError`."""
    if settings.migrate_url is None:
        message = "HOARD_MIGRATE_URL is needed: the owner's role makes tables, the application's may not"
        raise MigrationError(message)
    return settings.migrate_url


def make_buckets(settings: Settings) -> bool:
    """Make the buckets that are missing; False if storage cannot keep versions of results.

    Raises:
        StorageUnavailableError: storage fails.
    """
    store = ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)
    days = max(EXPIRY_DAYS, 1 - -settings.retention_seconds // _DAY_SECONDS)
    store.ensure_buckets(
        {
            settings.bucket_results: days,
            settings.bucket_sources: days,
            settings.bucket_shared: None,
            settings.bucket_datasets: None,
        }
    )
    return store.keep_versions(settings.bucket_results)


def upgrade_schema(url: str, revision: str = "head") -> None:
    """Bring log and vault to a revision with the owner's role. Raises `alembic.util.CommandError` for an unknown one."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "alembic"))
    os.environ["HOARD_MIGRATE_URL"] = url
    command.upgrade(config, revision)


def migrate(settings: Settings, progress: Progress | None = None) -> bool:
    """Upgrade the schema, make partitions ahead, build missing projections. True if projections were built."""
    url = owner_url(settings)
    upgrade_schema(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO log.lock VALUES (%s) ON CONFLICT DO NOTHING", (settings.realm,))
        connection.execute(
            "INSERT INTO relay.leader VALUES (%s, 0) ON CONFLICT DO NOTHING", (settings.realm,)
        )
        connection.execute("SELECT log.ensure_partitions(), vault.ensure_partitions()")
        return ensure(connection, settings.realm, progress)
