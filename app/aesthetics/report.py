"""What is written of a trained model: the table, the plot, the model itself and the card that says what it is not.

Look next: `app.aesthetics.training`, docs/aesthetics.md.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from app.aesthetics.ridge import Quality
from app.aesthetics.training import Judged, Trained

#: features that the card names, strongest first
NAMED: Final = 8


class MissingExtraError(Exception):
    """What draws the plot is not installed."""


def rows(trained: Trained) -> list[tuple[str, str, Quality]]:
    """(judged on, by what, how well), as the table shows them."""

    def both(place: str, judged: Judged) -> list[tuple[str, str, Quality]]:
        return [(place, "the mean", judged.mean), (place, "ridge", judged.model)]

    found = both("folds", trained.crossed)
    return found if trained.held_out is None else found + both("held out", trained.held_out)


def table(trained: Trained) -> str:
    """The comparison with the mean, as a Markdown table; errors are points of the rating scale."""
    lines = ["| judged on | by | pictures | RMSE | MAE | R² | Spearman |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {place} | {by} | {q.n} | {q.rmse:.3f} | {q.mae:.3f} | {q.r2:.3f} | {q.spearman:.3f} |"
        for place, by, q in rows(trained)
    ]
    return "\n".join(lines) + "\n"


def write(trained: Trained, folder: Path) -> list[Path]:
    """The model, its figures, its plot and its card, in a folder. Returns what was written.

    Raises:
        MissingExtraError: matplotlib is not installed; nothing was written.
    """
    draw = _pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("model.npz", "metrics.json", "plot.png", "README.md")]
    ridge = trained.ridge
    np.savez(
        paths[0],
        mean=ridge.mean,
        scale=ridge.scale,
        weights=ridge.weights,
        middle=ridge.middle,
        names=np.array(trained.names),
    )
    judged = [{"on": place, "by": by, **msgspec.structs.asdict(q)} for place, by, q in rows(trained)]
    paths[1].write_text(
        json.dumps(_summary(trained) | {"quality": judged}, indent=2) + "\n", encoding="utf-8"
    )
    _plot(draw, trained, paths[2])
    paths[3].write_text(card(trained), encoding="utf-8")
    return paths


def _summary(trained: Trained) -> dict[str, Any]:
    return {
        "release": _release(trained.options.release),
        "target": trained.options.target,
        "min_ratings": trained.options.min_ratings,
        "features": trained.embedding,
        "penalty": trained.ridge.penalty,
        "pictures": trained.pictures,
        "without_file": trained.without_file,
    }


def _release(folder: Path) -> str:
    """The release's own name, if it says one."""
    try:
        told = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return folder.name
    return str(told.get("name", folder.name))


def card(trained: Trained) -> str:
    """The model card: what it was made of, how well it does, and what that does not show."""
    options, crossed = trained.options, trained.crossed
    gain = 1.0 - crossed.model.rmse / crossed.mean.rmse if crossed.mean.rmse > 0 else 0.0
    verdict = (
        f"Its error is {gain:.0%} smaller than that of saying the mean of every picture."
        if gain >= 0.005
        else "It is no better than saying the mean of every picture: do not use it."
    )
    return f"""---
license: cc0-1.0
tags: [aesthetics, image-quality, ridge-regression]
---

# An aesthetic baseline

Ridge regression from {trained.embedding} to `{options.target}` of the release `{_release(options.release)}`:
{trained.pictures} pictures with at least {options.min_ratings} ratings each, penalty {trained.ridge.penalty:g}.

{table(trained)}
{verdict}

*Folds* keep all pictures of one prompt together; the penalty was chosen inside the training part of each. *Held out* is
the test split of the release, looked at once. R² is the share of the variance that is explained, 0 for the mean.

{_strongest(trained)}
## What this does not show

- **What is beautiful.** It shows what these raters, who came by themselves and were rewarded for it, gave points to.
  Other people, and the same people asked otherwise, would say something else.
- **What a picture is of.** {_blind(trained)}
- **That a change makes a picture better.** Weights tell what goes along with higher ratings in this release, no causes.
- **How it does elsewhere**: other models draw other pictures, and photographs are other ones still. The figures hold for
  pictures like those of the release.
- **A limit of what can be learnt**: ratings of one picture differ among raters, so no model explains all of their mean.

Do not rank people's work, filter what others may see, or train a generator on it without judging that by itself.
"""


def _blind(trained: Trained) -> str:
    if trained.options.embedding is None:
        return "Plain statistics of pixels know nothing of objects, faces, hands, text or meaning."
    return "What the embedding knows, and whom it was trained on, decides what this can see."


def _strongest(trained: Trained) -> str:
    """The features that weigh most, in points a standard deviation."""
    if not trained.names:
        return ""
    order = np.argsort(-np.abs(trained.ridge.weights), kind="stable")[:NAMED]
    lines = [f"| {trained.names[i]} | {trained.ridge.weights[i]:+.3f} |" for i in order]
    head = "| feature | points a standard deviation |\n|---|---|\n"
    return "What weighs most:\n\n" + head + "\n".join(lines) + "\n\n"


def _pyplot() -> Any:
    try:
        library: Any = importlib.import_module("matplotlib")
    except ImportError:
        raise MissingExtraError("the plot needs matplotlib: it is in the extra `research`") from None
    library.use("Agg")
    return importlib.import_module("matplotlib.pyplot")


def _plot(pyplot: Any, trained: Trained, path: Path) -> None:
    """Predicted against rated, from the folds, and the errors of both."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4.5))
    low, high = float(trained.points.min()), float(trained.points.max())
    left.scatter(trained.points, trained.predicted, s=8, alpha=0.5)
    left.plot([low, high], [low, high], color="grey", linewidth=1)
    left.axhline(trained.ridge.middle, color="grey", linestyle=":", linewidth=1)
    left.set_xlabel(f"rated ({trained.options.target})")
    left.set_ylabel("predicted, not seen before")
    places = rows(trained)
    right.barh([f"{place}: {by}" for place, by, _ in places], [q.rmse for _, _, q in places])
    right.invert_yaxis()
    right.set_xlabel("RMSE, points")
    figure.suptitle(f"{trained.embedding}, {trained.pictures} pictures")
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
