"""What the assessment makes of simulated crowds, told apart from what it should: caught, wronged, nearer to the truth."""

from __future__ import annotations

import random

import numpy as np
import pytest

from app.estimation.model import fit
from app.estimation.table import table_of
from app.raters.assessment import assess
from tests.raters.crowd import crowd
from tests.raters.simulation import Tally, run


@pytest.fixture(scope="module")
def tally() -> Tally:
    return run(range(100, 104))


def test_of_who_lies_95_of_100_are_caught(tally: Tally) -> None:
    assert tally.caught() >= 0.95


def test_of_who_is_honest_at_most_1_of_100_is_marked(tally: Tally) -> None:
    assert tally.wronged() <= 0.01


def test_scores_come_nearer_to_the_truth(tally: Tally) -> None:
    mean, robust = (np.mean(tally.errors[name]) for name in ("mean of all", "robust, without marked"))
    assert robust < 0.75 * mean
    assert np.mean(tally.ranks["robust, without marked"]) > np.mean(tally.ranks["mean of all"]) + 0.05
    assert np.mean(tally.boosted["robust, without marked"]) < 0.4 < np.mean(tally.boosted["mean of all"])


def test_the_same_ratings_in_another_order_come_to_the_same_bits() -> None:
    made = crowd(7, raters=40, pictures=200, each=60)
    shuffled = list(made.given)
    random.Random(1).shuffle(shuffled)
    one, other = table_of(made.given), table_of(shuffled)
    assert assess(one, made.known) == assess(other, made.known)
    assert fit(one).score.tobytes() == fit(other).score.tobytes()
    assert fit(one).error.tobytes() == fit(other).error.tobytes()
