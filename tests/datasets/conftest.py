"""One release, built once from a made-up log, for all tests that only read it."""

from pathlib import Path

import pytest

from app.datasets.build import Source, build
from app.datasets.people import People
from benchmarks.made_up_release import MadeUp

PEPPER = "a pepper for tests only"


@pytest.fixture(scope="session")
def log() -> MadeUp:
    return MadeUp(240, 1_500, users=24, imports=30, copies=12, withdrawn=(3, 7), side=32)


@pytest.fixture(scope="session")
def release(log: MadeUp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    return folder / build(source_of(log), log.last(), folder).name


def source_of(log: MadeUp) -> Source:
    return Source(log, log, People(PEPPER, 0))
