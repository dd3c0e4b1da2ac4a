"""The assessment of all raters: numbers, findings, standing; twice, the second time by those who were not suspect. Pure.

So that liars, who may be many, do not measure the honest. Look next: `app.raters.findings`, `app.estimation.measures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import numpy as np

from app.estimation.measures import Known, measure
from app.estimation.table import Table
from app.raters.findings import Finding, causes_of, findings_of, standing_of
from events.ratings import RaterCause, RaterScores, Standing


@dataclass(frozen=True, slots=True)
class Assessed:
    """What came of one rater's assessment."""

    scores: RaterScores
    findings: tuple[Finding, ...]
    standing: Standing
    causes: tuple[RaterCause, ...]


def assess(table: Table, known: Known) -> dict[UUID, Assessed]:
    """Assess everybody who rated."""
    if not len(table.value):
        return {}
    first = _judged(measure(table, known)[0])
    honest = np.array([first[rater].standing is not Standing.SUSPECT for rater in table.raters])
    return _judged(measure(table, known, honest)[0])


def _judged(scores: dict[UUID, RaterScores]) -> dict[UUID, Assessed]:
    judged: dict[UUID, Assessed] = {}
    for rater, each in scores.items():
        findings = tuple(findings_of(each))
        judged[rater] = Assessed(each, findings, standing_of(each, findings), causes_of(findings))
    return judged
