"""Settings from the environment: every fault is told, no secret is shown."""

import pytest

from app.platform.settings import METRICS_PORTS, Settings, SettingsError

COMPLETE = {
    "HOARD_DATABASE_URL": "postgresql://hoard_app:hush@127.0.0.1:5432/hoard",
    "HOARD_REDIS_URL": "redis://:hush@127.0.0.1:6379/0",
    "HOARD_S3_URL": "http://127.0.0.1:9000",
    "HOARD_S3_ACCESS_KEY": "hush-access",
    "HOARD_S3_SECRET_KEY": "hush-secret",
    "HOARD_PEPPER": "hush-pepper-hush-pepper",
}


def test_what_is_not_set_has_the_documented_default() -> None:
    settings = Settings.from_env(COMPLETE | {"HOARD_PORT": "", "UNRELATED": "1"})
    assert (settings.realm, settings.host, settings.port, settings.log_level) == (
        0,
        "127.0.0.1",
        8000,
        "INFO",
    )
    assert settings.migrate_url is None
    assert (settings.trusted_proxy, settings.rate_limits) == (False, True)
    assert settings.retention_seconds == 7_200


def test_to_env_and_back_gives_the_same_settings() -> None:
    settings = Settings.from_env(
        COMPLETE | {"HOARD_TRUSTED_PROXY": "yes", "HOARD_RATE_LIMITS": "off", "HOARD_REALM": "3"}
    )
    assert (settings.realm, settings.trusted_proxy, settings.rate_limits) == (3, True, False)
    assert Settings.from_env(settings.to_env()) == settings


def test_every_fault_is_listed_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(
            {
                "HOARD_DATABASE_URL": "mysql://hush",
                "HOARD_S3_URL": "http://host:port",
                "HOARD_S3_ACCESS_KEY": "a",
                "HOARD_S3_SECRET_KEY": "b",
                "HOARD_PEPPER": "hush",
                "HOARD_PORT": "99999",
                "HOARD_REALM": "-1",
                "HOARD_LOG_LEVEL": "loud",
                "HOARD_RATE_LIMITS": "maybe",
            }
        )
    names = {fault.split()[0].removeprefix("HOARD_") for fault in caught.value.faults}
    assert names == {
        "DATABASE_URL",
        "REDIS_URL",
        "S3_URL",
        "PEPPER",
        "PORT",
        "REALM",
        "LOG_LEVEL",
        "RATE_LIMITS",
    }
    assert "hush" not in str(caught.value)


def test_nothing_printed_shows_a_secret() -> None:
    settings = Settings.from_env(
        COMPLETE | {"HOARD_MIGRATE_URL": "postgresql://owner:hush@h/db?password=hush"}
    )
    for text in (repr(settings), str(settings), str(settings.redacted())):
        assert "hush" not in text
        assert "hoard_app:***@127.0.0.1:5432" in text


def test_each_kind_of_process_tells_its_metrics_at_a_port_of_its_own() -> None:
    settings = Settings.from_env(COMPLETE)
    assert [settings.metrics_at(kind) for kind in METRICS_PORTS] == [
        ("127.0.0.1", 9464),
        ("127.0.0.1", 9465),
        ("127.0.0.1", 9466),
    ]
    none = Settings.from_env(COMPLETE | {"HOARD_METRICS_PORT": "0"})
    assert {none.metrics_at(kind)[1] for kind in METRICS_PORTS} == {0}
    with pytest.raises(SettingsError, match="HOARD_METRICS_PORT must be a whole number from 0 to 65533"):
        Settings.from_env(COMPLETE | {"HOARD_METRICS_PORT": "65534"})
