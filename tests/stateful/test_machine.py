"""Whatever happens in whatever order, server, model and log agree after each step.

The same examples in every run. More, and others each time:

    HOARD_EXAMPLES=500 HOARD_STEPS=80 HOARD_RANDOM=1 .venv/bin/python -m pytest tests/stateful/test_machine.py

A failure is made smaller first, for up to five minutes, then printed with the log of its realm.
"""

import os

from tests.stateful.playing import play
from tests.stateful.world import Clockwork

EXAMPLES = int(os.environ.get("HOARD_EXAMPLES", "20"))
STEPS = int(os.environ.get("HOARD_STEPS", "50"))
RANDOM = bool(os.environ.get("HOARD_RANDOM"))


def test_server_model_and_log_agree(clockwork: Clockwork):
    play(clockwork, max_examples=EXAMPLES, stateful_step_count=STEPS, derandomize=not RANDOM)
