"""Learning from a release how people like pictures, and judging what was learnt, beside what the mean alone would say.

Folds keep pictures of one prompt together, and what the release holds out is looked at once, at the end. Look next:
`app.aesthetics.report` for the table, the plot and the model card, docs/aesthetics.md.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.aesthetics.embedding import PLAIN, named
from app.aesthetics.release import ReleaseError, Scored, pictures, scored
from app.aesthetics.ridge import Quality, Ridge, fit, folds, quality

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

#: fewer rated pictures than this teach nothing
LEAST_PICTURES = 20


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to learn, from what."""

    release: Path
    #: a column of the release's aggregates
    target: str = "robust_score"
    #: pictures with fewer ratings are left out
    min_ratings: int = 3
    #: `module:function` or a file *.onnx; None for plain statistics
    embedding: str | None = None


class Judged(msgspec.Struct, frozen=True):
    """The model's predictions of pictures it had not seen, beside those of the mean."""

    model: Quality
    mean: Quality


class Trained(msgspec.Struct, frozen=True):
    """What came of it."""

    options: Options
    ridge: Ridge
    #: names of the features; empty for an embedding
    names: tuple[str, ...]
    #: by folds within what may be learnt from
    crossed: Judged
    #: on what the release holds out; None where that is less than two pictures
    held_out: Judged | None
    #: what was learnt from, and what crossing predicted of it
    points: Array
    predicted: Array
    pictures: int
    #: rated pictures whose file is not in the release, as of imported sets
    without_file: int

    @property
    def embedding(self) -> str:
        """What pictures were turned into numbers by."""
        return self.options.embedding or PLAIN


def train(options: Options, progress: Progress | None = None) -> Trained:
    """Learn and judge.

    Raises:
        ReleaseError: it is no release, or too little was rated.
        EmbeddingError: the model cannot be used.
    """
    embed, names = named(options.embedding)
    wanted = scored(options.release, options.target, options.min_ratings)
    of: list[Scored] = []
    vectors: list[Array] = []
    for picture, pixels in pictures(options.release, wanted):
        of.append(picture)
        vectors.append(embed(pixels))
        if progress is not None:
            progress(len(of), len(wanted))
    learnt = np.array([not picture.held_out for picture in of], dtype=bool)
    if learnt.sum() < LEAST_PICTURES:
        raise ReleaseError(
            f"only {int(learnt.sum())} pictures to learn from have {options.min_ratings} ratings or more: "
            f"at least {LEAST_PICTURES} are needed"
        )
    features = np.stack(vectors)
    points = np.array([picture.score for picture in of])
    prompts = {name: number for number, name in enumerate(sorted({picture.prompt for picture in of}))}
    groups = np.array([prompts[picture.prompt] for picture in of])
    predicted, means = _crossed(features[learnt], points[learnt], groups[learnt])
    ridge = fit(features[learnt], points[learnt], groups[learnt].tolist())
    return Trained(
        options=options,
        ridge=ridge,
        names=names,
        crossed=Judged(quality(predicted, points[learnt]), quality(means, points[learnt])),
        held_out=_held_out(ridge, features[~learnt], points[~learnt]),
        points=points[learnt],
        predicted=predicted,
        pictures=len(of),
        without_file=len(wanted) - len(of),
    )


def _crossed(features: Array, points: Array, groups: NDArray[np.intp]) -> tuple[Array, Array]:
    """What a model, and the mean, that had not seen a picture's prompt say of it."""
    predicted, means = np.zeros(len(points)), np.zeros(len(points))
    try:
        for learnt, judged in folds(groups.tolist()):
            predicted[judged] = fit(features[learnt], points[learnt], groups[learnt].tolist()).predict(
                features[judged]
            )
            means[judged] = points[learnt].mean()
    except ValueError:
        raise ReleaseError("pictures of at least three prompts are needed") from None
    return predicted, means


def _held_out(ridge: Ridge, features: Array, points: Array) -> Judged | None:
    if len(points) < 2:
        return None
    alone = np.full(len(points), ridge.middle)
    return Judged(quality(ridge.predict(features), points), quality(alone, points))
