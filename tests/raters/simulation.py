"""What the assessment makes of simulated crowds: caught, wrongly marked, and how far scores come nearer to the truth.

`python -m tests.raters.simulation [SEEDS]` prints the tables of docs/raters.md. Look next: `tests.raters.crowd`.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from app.estimation.model import fit
from app.estimation.table import table_of
from app.raters.assessment import assess
from events.ratings import Standing
from tests.raters.crowd import LIARS, Crowd, crowd

#: what the docs' tables are of: crowds that no limit was chosen by
SEEDS = 20
FIRST_SEED = 100


@dataclass
class Tally:
    """What came of some crowds."""

    people: Counter[str] = field(default_factory=Counter)
    #: by kind and standing
    stands: Counter[tuple[str, Standing]] = field(default_factory=Counter)
    #: by way of scoring: errors against the truth, one a crowd
    errors: dict[str, list[float]] = field(default_factory=dict)
    ranks: dict[str, list[float]] = field(default_factory=dict)
    boosted: dict[str, list[float]] = field(default_factory=dict)

    def caught(self) -> float:
        """The part of those who are not honest whose ratings were marked."""
        return self._part(Standing.SUSPECT, liars=True)

    def wronged(self) -> float:
        """The part of the honest whose ratings were marked."""
        return self._part(Standing.SUSPECT, liars=False)

    def watched(self, *, liars: bool) -> float:
        """The part of one of both whose rewards wait, and nothing more."""
        return self._part(Standing.WATCHED, liars=liars)

    def _part(self, standing: Standing, *, liars: bool) -> float:
        people = sum(count for kind, count in self.people.items() if (kind in LIARS) == liars)
        stands = sum(n for (kind, s), n in self.stands.items() if s is standing and (kind in LIARS) == liars)
        return stands / people


def judge(made: Crowd, tally: Tally) -> None:
    """Assess one crowd, and add what came of it."""
    table = table_of(made.given)
    assessed = assess(table, made.known)
    for rater, kind in made.kind.items():
        tally.people[kind] += 1
        tally.stands[kind, assessed[rater].standing] += 1
    first = table.where(~table.again)
    clean = {key for key, each in assessed.items() if each.standing is not Standing.SUSPECT}
    kept = first.where(np.array([first.raters[at] in clean for at in first.rater.tolist()]))
    truth = np.array([made.truth[key] for key in first.pictures])
    boosted = np.array([key in made.boosted for key in first.pictures])
    for name, rows, robust in (
        ("mean of all", first, False),
        ("mean without marked", kept, False),
        ("robust, of all", first, True),
        ("robust, without marked", kept, True),
    ):
        if robust:
            score = fit(rows).score
        else:
            n = rows.by_picture()
            middle = float(rows.value.mean())
            score = np.where(n > 0, rows.by_picture(rows.value.astype(float)) / np.maximum(n, 1), middle)
        tally.errors.setdefault(name, []).append(_error(score - score.mean() + truth.mean(), truth))
        tally.ranks.setdefault(name, []).append(_rank(score, truth))
        tally.boosted.setdefault(name, []).append(
            float((score - score.mean() + truth.mean() - truth)[boosted].mean())
        )


def _error(score: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((score - truth) ** 2)))


def _rank(score: np.ndarray, truth: np.ndarray) -> float:
    """Spearman's correlation; ties in the order of the rows, which is chance here."""
    places = [np.argsort(np.argsort(each, kind="stable"), kind="stable") for each in (score, truth)]
    return float(np.corrcoef(places[0], places[1])[0, 1])


def run(seeds: range, each: int = 150) -> Tally:
    """Assess a crowd of each seed, whose raters rate about `each` pictures; always about 10 ratings a picture."""
    tally = Tally()
    for seed in seeds:
        judge(crowd(seed, pictures=10 * each, each=each), tally)
    return tally


def tables(tally: Tally) -> str:
    """The tables of the docs."""
    lines = ["| kind of rater | raters | good | watched | suspect |", "|---|---|---|---|---|"]
    for kind, people in tally.people.items():
        parts = [tally.stands[kind, s] / people for s in (Standing.GOOD, Standing.WATCHED, Standing.SUSPECT)]
        lines.append(f"| {kind} | {people} | " + " | ".join(f"{100 * part:.1f} %" for part in parts) + " |")
    lines += [
        "",
        f"Caught: {100 * tally.caught():.1f} %. Honest wrongly marked: {100 * tally.wronged():.2f} %.",
        "",
    ]
    lines += ["| score | RMSE | Spearman | boosted pictures too high by |", "|---|---|---|---|"]
    for name, errors in tally.errors.items():
        cells = (np.mean(errors), np.mean(tally.ranks[name]), np.mean(tally.boosted[name]))
        lines.append(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    return "\n".join(lines)


def by_ratings(seeds: range) -> str:
    """How it goes with raters who rated less, or more."""
    lines = [
        "| ratings a rater | caught | watched besides | honest wrongly marked | honest watched |",
        "|---|---|---|---|---|",
    ]
    for each in (40, 80, 150, 300):
        tally = run(seeds, each)
        cells = [tally.caught(), tally.watched(liars=True), tally.wronged(), tally.watched(liars=False)]
        lines.append(f"| {each} | " + " | ".join(f"{100 * cell:.1f} %" for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    chosen = range(FIRST_SEED, FIRST_SEED + (int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS))
    few = range(FIRST_SEED, FIRST_SEED + max(1, len(chosen) // 4))
    sys.stdout.write(tables(run(chosen)) + "\n\n" + by_ratings(few) + "\n")
