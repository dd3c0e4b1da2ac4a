"""Whatever happens in whatever order, server, model and log agree after each step.

More of it: `HOARD_EXAMPLES=2000 HOARD_STEPS=80 HOARD_SEED=random pytest tests/stateful/test_machine.py`.
"""

import os

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import Hoard
from tests.stateful.world import Clockwork

EXAMPLES = int(os.environ.get("HOARD_EXAMPLES", "40"))
STEPS = int(os.environ.get("HOARD_STEPS", "50"))
RANDOM = os.environ.get("HOARD_SEED") == "random"


def test_server_model_and_log_agree(clockwork: Clockwork):
    class Machine(Hoard):
        pass

    Machine.clockwork = clockwork
    phases = (Phase.generate,) if os.environ.get("HOARD_NOSHRINK") else tuple(Phase)
    profile = settings(
        phases=phases,
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        derandomize=not RANDOM,
        print_blob=RANDOM,
    )
    run_state_machine_as_test(Machine, settings=profile)
