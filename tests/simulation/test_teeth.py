"""The simulation has teeth: each planted fault is found within some seeds, and none without one."""

import pytest

from tests.simulation.faults import FAULTS, WEATHER, planted
from tests.simulation.run import simulate

#: within so many seeds each fault is found; most in fewer than ten
SEEDS = 150


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str):
    weather = WEATHER.get(fault, frozenset())
    for seed in range(SEEDS):
        with planted(fault):
            seen = simulate(seed, weather)
        if seen.failure is not None:
            assert simulate(seed, weather).failure is None, "the seed fails without the fault too"
            return
    pytest.fail(f"{SEEDS} seeds did not notice: {fault}")
