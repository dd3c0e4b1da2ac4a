"""What the soak says of memory: growth is found, and told apart from noise."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.soak.checks import memory_is_flat
from tests.soak.meter import Life, Meter


def life(grows: float, samples: int = 180) -> Life:
    """A life of samples every ten seconds that fills its caches for a third, then grows so many MiB an hour."""
    made = Life("api2", 1)
    for number in range(samples):
        warm = min(number, samples // 3) * 0.5
        late = max(0, number - samples // 3) * 10 / 3600 * grows
        made.samples.append((number * 10.0, 100 + warm + late + (number % 3) * 0.2, 50))
    return made


def soak(*lives: Life, seconds: float = 1800) -> Any:
    meter = Meter(dict, dict)
    meter.lives = {(each.name, each.pid): each for each in lives}
    return SimpleNamespace(meter=meter, seconds=seconds)


def test_growth_is_told_without_the_filling_of_caches() -> None:
    slope = life(60).slope()
    assert slope is not None
    assert slope[0] == pytest.approx(60, abs=1)
    assert slope[1] < 1


def test_a_short_life_tells_nothing() -> None:
    assert life(60, samples=7).slope() is None


def test_a_spared_process_that_grows_is_found() -> None:
    memory_is_flat(soak(life(5)))
    with pytest.raises(AssertionError, match="api2 grew"):
        memory_is_flat(soak(life(120)))
    memory_is_flat(soak(life(120), seconds=300))  # too short to tell


def test_the_longest_of_several_lives_is_looked_at() -> None:
    short = life(120, samples=20)
    short.pid = 2
    assert soak(short, life(5)).meter.longest()["api2"].pid == 1
