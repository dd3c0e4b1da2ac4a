"""`hoard config` tells what is wrong with the files that settings name, and `hoard serve` ends over it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.operations.commands import config_command
from app.process_commands import serve_command

COMPLETE = {
    "HOARD_DATABASE_URL": "postgresql://app:hush@127.0.0.1:1/hoard",
    "HOARD_REDIS_URL": "redis://127.0.0.1:1/0",
    "HOARD_S3_URL": "http://127.0.0.1:1",
    "HOARD_S3_ACCESS_KEY": "hush-access",
    "HOARD_S3_SECRET_KEY": "hush-secret",
    "HOARD_PEPPER": "hush-pepper-hush-pepper",
}


@pytest.fixture
def faulty(tmp_path: Path) -> dict[str, str]:
    """Settings that name two faulty files."""
    models = tmp_path / "models.json"
    models.write_text('{"A": {"baseline": "sdxl"}, "B": {}}')
    return COMPLETE | {"HOARD_MODEL_REFERENCE": str(models), "HOARD_UNSAFE_NETWORKS": "10.0.0.0/8,nonsense"}


def run(command, variables: dict[str, str]) -> Result:
    return CliRunner().invoke(command, [], env=variables)


def test_every_fault_of_the_files_is_shown(faulty: dict[str, str]) -> None:
    found = run(config_command, faulty)
    assert found.exit_code == 1
    for name in ("model 'A'", "model 'B'", "HOARD_UNSAFE_NETWORKS item 2"):
        assert name in found.stderr
    assert "nonsense" not in found.stderr


def test_whole_files_are_no_fault() -> None:
    assert run(config_command, COMPLETE).exit_code == 0


def test_a_server_does_not_start_with_a_faulty_file(faulty: dict[str, str]) -> None:
    found = run(serve_command, faulty)
    assert found.exit_code == 1
    assert "model 'A'" in found.output
    assert "model 'B'" in found.output
