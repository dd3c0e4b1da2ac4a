"""The one settings object, built from the environment by a composition root and passed down.

It may not read the environment at import time, and nothing else in the project may read `HOARD_*` variables.
The embedded stack (`app.embedded.stack`) produces the same variables for a development machine.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from app.platform.outside import networks_of

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_MAX_PORT: Final = 65535
#: which kinds of processes tell metrics, in the order of their ports
METRICS_PORTS: Final = ("api", "relay", "actors")
_MAX_WRITER_ROWS: Final = 10_000_000
_MAX_RETENTION: Final = 10 * 365 * 86_400
#: what was told must be known for as long as it may be told again
_MIN_WEBHOOK_RETENTION: Final = 2 * 86_400
_MAX_HOURS: Final = 10 * 365 * 24
_MIN_PEPPER: Final = 16
#: bytes of a picture that is mirrored, at most: those of a source image
_MAX_MIRROR_BYTES: Final = 10 * 1024 * 1024
_MAX_MIRRORS: Final = 256
_SECRETS: Final = frozenset({"s3_access_key", "s3_secret_key", "pepper"})
_URLS: Final = frozenset({"database_url", "migrate_url", "redis_url", "s3_url"})


class SettingsError(Exception):
    """The environment does not make a valid configuration; `faults` lists everything that is wrong."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("invalid settings:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a process of Hoard is told from outside. Its `repr` never shows a secret."""

    #: Number of the log (tenant) this process serves.
    realm: int = 0
    #: PostgreSQL as the application's role: reads and writes rows, no DDL.
    database_url: str
    #: PostgreSQL as the owner: only `migrate` needs it, so other processes may run without.
    migrate_url: str | None = None
    #: Valkey or Redis: broker, presence, limits, notifications.
    redis_url: str
    #: Scheme, host and port of the S3 endpoint, as clients reach it (links are presigned with it).
    s3_url: str
    s3_access_key: str
    s3_secret_key: str
    s3_region: str = "us-east-1"
    bucket_results: str = "results"
    bucket_sources: str = "sources"
    bucket_shared: str = "shared"
    bucket_datasets: str = "datasets"
    #: Secret text of the HMAC over API keys. Changing it locks every key out.
    pepper: str
    host: str = "127.0.0.1"
    port: int = 8000
    #: Where each process tells its metrics: the API at this port, a relay at the next, actors at the one after; 0 for not.
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9464
    log_level: str = "INFO"
    #: Believe one hop of X-Forwarded-For.
    trusted_proxy: bool = False
    rate_limits: bool = True
    #: Rows that a process's writer keeps at hand, about a kilobyte each; at most twice as many.
    writer_rows: int = 20_000
    #: Seconds after a job's end after which its prompts, seeds and unshared pictures are deleted: two hours.
    retention_seconds: int = 7_200
    #: A JSON file that says what is known of models, in place of the shipped one.
    model_reference: str | None = None
    #: Workers may declare only models of the reference.
    known_models_only: bool = False
    #: Names of text backends, divided by commas, that are known to write texts as asked, besides the usual ones.
    validated_backends: str | None = None
    #: A file with a network in each line, or networks divided by commas: jobs from there go to workers that allow it.
    unsafe_networks: str | None = None
    #: Networks, divided by commas, that source images may be fetched from besides the public internet, at any port and
    #: over http too: for tests and closed networks.
    source_networks: str = ""
    #: Networks, divided by commas, that webhooks may lead to besides the public internet, at any port.
    webhook_networks: str = ""
    #: Seconds for which users can see what their webhooks were told: a week.
    webhook_retention_seconds: int = 604_800
    #: Hours after which actors put a new release into the bucket of data sets; 0: never.
    release_every_hours: int = 0
    #: Where the folder `releases/` of the bucket of data sets is published, such as https://data.example.org/releases;
    #: what describes a release names it.
    releases_url: str | None = None
    #: Imported pictures that actors fetch at a time to mirror them, and those of one host.
    mirror_at_once: int = 16
    mirror_per_host: int = 2
    #: Bytes of such a picture, and seconds that fetching it may take with all redirects.
    mirror_bytes: int = _MAX_MIRROR_BYTES
    mirror_seconds: int = 20
    #: Hours between two assessments of all raters by the actors; 0: only `hoard raters assess`.
    assess_every_hours: int = 1
    #: A JSON file with what the operator tells everybody; read again when it changes.
    news_file: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Build the settings from `HOARD_*` variables; an empty variable counts as absent.

        Raises:
            SettingsError: with every fault found, not just the first.
        """
        reader = _Reader(environ)
        values: dict[str, object] = {
            "realm": reader.integer("realm", 0, 0, 2**31 - 1),
            "database_url": reader.url("database_url", ("postgresql",)),
            "migrate_url": reader.optional_url("migrate_url", ("postgresql",)),
            "redis_url": reader.url("redis_url", ("redis", "rediss")),
            "s3_url": reader.url("s3_url", ("http", "https")),
            "s3_access_key": reader.text("s3_access_key"),
            "s3_secret_key": reader.text("s3_secret_key"),
            "s3_region": reader.text("s3_region", "us-east-1"),
            "bucket_results": reader.text("bucket_results", "results"),
            "bucket_sources": reader.text("bucket_sources", "sources"),
            "bucket_shared": reader.text("bucket_shared", "shared"),
            "bucket_datasets": reader.text("bucket_datasets", "datasets"),
            "pepper": reader.pepper(),
            "host": reader.text("host", "127.0.0.1"),
            "port": reader.integer("port", 8000, 1, _MAX_PORT),
            "metrics_host": reader.text("metrics_host", "127.0.0.1"),
            "metrics_port": reader.integer("metrics_port", 9464, 0, _MAX_PORT - len(METRICS_PORTS) + 1),
            "log_level": reader.log_level(),
            "trusted_proxy": reader.boolean("trusted_proxy", default=False),
            "rate_limits": reader.boolean("rate_limits", default=True),
            "writer_rows": reader.integer("writer_rows", 20_000, 100, _MAX_WRITER_ROWS),
            "retention_seconds": reader.integer("retention_seconds", 7_200, 1, _MAX_RETENTION),
            "model_reference": reader.optional_text("model_reference"),
            "known_models_only": reader.boolean("known_models_only", default=False),
            "validated_backends": reader.optional_text("validated_backends"),
            "unsafe_networks": reader.optional_text("unsafe_networks"),
            "source_networks": reader.networks("source_networks"),
            "webhook_networks": reader.networks("webhook_networks"),
            "webhook_retention_seconds": reader.integer(
                "webhook_retention_seconds", 604_800, _MIN_WEBHOOK_RETENTION, _MAX_RETENTION
            ),
            "release_every_hours": reader.integer("release_every_hours", 0, 0, _MAX_HOURS),
            "releases_url": reader.optional_url("releases_url", ("https", "http")),
            "mirror_at_once": reader.integer("mirror_at_once", 16, 1, _MAX_MIRRORS),
            "mirror_per_host": reader.integer("mirror_per_host", 2, 1, _MAX_MIRRORS),
            "mirror_bytes": reader.integer("mirror_bytes", _MAX_MIRROR_BYTES, 1_024, _MAX_MIRROR_BYTES),
            "mirror_seconds": reader.integer("mirror_seconds", 20, 1, 600),
            "assess_every_hours": reader.integer("assess_every_hours", 1, 0, _MAX_HOURS),
            "news_file": reader.optional_text("news_file"),
        }
        if reader.faults:
            raise SettingsError(tuple(reader.faults))
        return msgspec.convert(values, cls)

    def metrics_at(self, process: str) -> tuple[str, int]:
        """Host and port at which a kind of process tells its metrics; port 0 for not at all."""
        port = self.metrics_port and self.metrics_port + METRICS_PORTS.index(process)
        return self.metrics_host, port

    def to_env(self) -> dict[str, str]:
        """The `HOARD_*` variables from which `from_env` builds these settings again."""
        return {
            f"HOARD_{name.upper()}": str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in msgspec.structs.asdict(self).items()
            if value is not None
        }

    def redacted(self) -> dict[str, str]:
        """Field names and values fit for a terminal or a log: secrets and passwords in URLs are masked."""
        return {name: _mask(name, value) for name, value in msgspec.structs.asdict(self).items()}

    def __repr__(self) -> str:
        """Like a dataclass, with secrets masked: a traceback or a log line may show it."""
        return f"Settings({', '.join(f'{name}={value}' for name, value in self.redacted().items())})"


class _Reader:
    """Reads variables one by one and collects faults instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: list[str] = []

    def _raw(self, field: str) -> str:
        return self._environ.get(f"HOARD_{field.upper()}", "").strip()

    def _fault(self, field: str, problem: str) -> None:
        # The value is never repeated: it may be a secret put into the wrong variable.
        self.faults.append(f"HOARD_{field.upper()} {problem}")

    def text(self, field: str, default: str | None = None) -> str:
        value = self._raw(field) or default
        if value is None:
            self._fault(field, "is missing")
            return ""
        return value

    def optional_text(self, field: str) -> str | None:
        return self._raw(field) or None

    def integer(self, field: str, default: int, low: int, high: int) -> int:
        raw = self._raw(field)
        if not raw:
            return default
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            self._fault(field, f"must be a whole number from {low} to {high}")
            return default
        return int(raw)

    def boolean(self, field: str, *, default: bool) -> bool:
        raw = self._raw(field).lower()
        if raw and raw not in _TRUE | _FALSE:
            self._fault(field, "must be true or false")
        return raw in _TRUE if raw else default

    def url(self, field: str, schemes: tuple[str, ...]) -> str:
        value = self.text(field)
        if value and not _is_url(value, schemes):
            self._fault(field, f"must be a URL {' or '.join(f'{scheme}://host…' for scheme in schemes)}")
        return value

    def optional_url(self, field: str, schemes: tuple[str, ...]) -> str | None:
        return self.url(field, schemes) if self._raw(field) else None

    def networks(self, field: str) -> str:
        value = self._raw(field)
        try:
            networks_of(value)
        except ValueError:
            self._fault(field, "must be networks such as 10.1.0.0/16, divided by commas")
        return value

    def pepper(self) -> str:
        value = self.text("pepper")
        if value and len(value) < _MIN_PEPPER:
            self._fault("pepper", f"must have at least {_MIN_PEPPER} characters")
        return value

    def log_level(self) -> str:
        value = self.text("log_level", "INFO").upper()
        if value not in LOG_LEVELS:
            self._fault("log_level", f"must be one of {', '.join(LOG_LEVELS)}")
        return value


def _is_url(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)


def _mask(field: str, value: object) -> str:
    if field in _SECRETS:
        return "***"
    if field in _URLS and isinstance(value, str):
        parts = urlsplit(value)
        if parts.password is not None:
            host = parts.netloc.rpartition("@")[2]
            return parts._replace(netloc=f"{parts.username or ''}:***@{host}", query="").geturl()
    return str(value)
