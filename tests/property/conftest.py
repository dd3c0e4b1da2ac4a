"""Histories are short: here little work over a day earns trust, and one suspicion pauses a worker.

A search sees the whole queue, since a worker that has to go on behind the candidates does so after its batch; how it does
is the business of `tests/integration/test_pop.py`.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from app.ledger import trust
from app.workers import conduct
from events.jobs import JobKind
from tests import model


@pytest.fixture(scope="module", autouse=True)
def soon_trusted() -> Iterator[None]:
    """The rules with small numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "THRESHOLD", 1_000)
        patch.setattr(trust, "MIN_EARNED", 1_500)
        patch.setattr(trust, "MIN_AGE", timedelta(days=1))
        patch.setattr(conduct, "SUSPICIOUS", 1)
        patch.setattr(conduct, "UNREASONABLE_SPEED", dict.fromkeys((JobKind.IMAGE, JobKind.TEXT), 100_000))
        patch.setattr(model, "CANDIDATES", 10_000)
        yield
