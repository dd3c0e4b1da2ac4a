"""The aesthetic baseline: it learns what is there, finds nothing where nothing is, and says how well it does."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

from app.aesthetics import release, report
from app.aesthetics.commands import train_command
from app.aesthetics.embedding import EmbeddingError, named
from app.aesthetics.features import NAMES, features, vector
from app.aesthetics.ridge import fit, folds, quality, ranks
from app.aesthetics.training import Options, train


def picture(dice: np.random.Generator, warmth: float) -> Image.Image:
    """Noise on a ground between blue and red."""
    ground = np.array([warmth, 0.4, 1.0 - warmth]) * 200
    pixels = np.clip(ground + dice.normal(0, 25, (48, 64, 3)), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def make(folder: Path, *, learnable: bool, count: int = 90) -> Path:
    """A release of pictures whose scores follow from their warmth, or from nothing."""
    dice = np.random.default_rng(7)
    rows, splits = [], []
    (folder / "images").mkdir(parents=True)
    with tarfile.open(folder / "images" / "00000.tar", "w") as tar:
        for number in range(count):
            warmth = float(dice.uniform())
            name = f"picture-{number:03}"
            file = io.BytesIO()
            picture(dice, warmth).save(file, "webp", lossless=True)
            for kind, data in (("webp", file.getvalue()), ("txt", b"words")):
                member = tarfile.TarInfo(f"{name}.{kind}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
            score = 2 + 7 * warmth + dice.normal(0, 0.5) if learnable else float(dice.uniform(1, 10))
            rows.append({"id": name, "n": 5, "mean": score, "robust_score": score, "artifacts_mean": None})
            splits.append(
                {"id": name, "prompt_hash": f"p{number // 3}", "split": "test" if number < 15 else "train"}
            )
    rows.append({"id": "elsewhere", "n": 5, "mean": 5.0, "robust_score": 5.0, "artifacts_mean": None})
    splits.append({"id": "elsewhere", "prompt_hash": "x", "split": "train"})
    rows[20]["n"] = 2
    for table, of in (("aggregates", rows), ("splits", splits)):
        (folder / table).mkdir()
        parquet.write_table(pa.Table.from_pylist(of), folder / table / "part-00000.parquet")
    (folder / "release.json").write_text(json.dumps({"name": "v1-1000"}))
    return folder


@pytest.fixture(scope="module")
def learnable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("release"), learnable=True)


def test_it_learns_what_is_there(learnable: Path):
    trained = train(Options(release=learnable))
    assert (trained.pictures, trained.without_file) == (89, 1), "one has too few ratings, one no file"
    assert trained.held_out is not None
    for judged in (trained.crossed, trained.held_out):
        assert judged.model.rmse < 0.5 * judged.mean.rmse
        assert judged.model.spearman > 0.8
    assert trained.held_out.model.n == 15
    assert abs(trained.crossed.mean.r2) < 0.05


def test_it_finds_nothing_where_nothing_is_and_says_so(tmp_path: Path):
    trained = train(Options(release=make(tmp_path, learnable=False)))
    assert trained.crossed.model.rmse > 0.95 * trained.crossed.mean.rmse
    if trained.crossed.model.rmse > 0.995 * trained.crossed.mean.rmse:
        assert "no better than saying the mean" in report.card(trained)


def test_what_is_written(learnable: Path, tmp_path: Path):
    out = tmp_path / "model"
    result = CliRunner().invoke(train_command, [str(learnable), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "| held out | ridge | 15 |" in result.output
    with Image.open(out / "plot.png") as plot:
        assert plot.format == "PNG"
        assert len(plot.getcolors(10**6) or []) > 20
    card = (out / "README.md").read_text()
    assert "## What this does not show" in card
    assert "v1-1000" in card
    told = json.loads((out / "metrics.json").read_text())
    assert [row["by"] for row in told["quality"]] == ["the mean", "ridge"] * 2
    model = np.load(out / "model.npz")
    assert tuple(model["names"]) == NAMES
    again = train(Options(release=learnable))
    assert np.array_equal(model["weights"], again.ridge.weights), "the same release, the same model"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--min-ratings", "6"], "at least 20 are needed"),
        (["--target", "artifacts_mean"], "at least 20 are needed"),
        (["--embedding", "nowhere:to_be_found"], "give module:function or a file"),
        (["--embedding", "missing.onnx"], "there is no file missing.onnx"),
    ],
)
def test_what_cannot_be_learnt_is_told(arguments: list[str], says: str, learnable: Path, tmp_path: Path):
    result = CliRunner().invoke(train_command, [str(learnable), "--out", str(tmp_path / "m"), *arguments])
    assert result.exit_code == 1
    assert says in result.output
    assert not (tmp_path / "m").exists()


def test_a_folder_that_is_no_release_is_told(tmp_path: Path):
    with pytest.raises(release.ReleaseError, match="no splits"):
        train(Options(release=tmp_path))
    (tmp_path / "splits").mkdir()
    parquet.write_table(pa.table({"id": ["a"]}), tmp_path / "splits" / "part-0.parquet")
    with pytest.raises(release.ReleaseError, match="no column prompt_hash, split"):
        train(Options(release=tmp_path))


def warmth(pixels: Image.Image) -> NDArray[np.float64]:
    """An embedding that a user brings."""
    red, _, blue = np.asarray(pixels, dtype=np.float64).mean(axis=(0, 1))
    return np.array([red, blue])


def test_an_embedding_of_ones_own(learnable: Path):
    trained = train(Options(release=learnable, embedding=f"{__name__}:warmth"))
    assert trained.crossed.model.rmse < 0.5 * trained.crossed.mean.rmse
    assert trained.names == ()
    assert "test_training:warmth" in report.card(trained)
    with pytest.raises(EmbeddingError):
        named("json:no_such")


# features


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_features_of_any_picture_are_numbers(mode: str):
    for size in ((1, 1), (8, 300), (700, 20)):
        found = vector(Image.new(mode, size))
        assert found.shape == (len(NAMES),)
        assert np.isfinite(found).all()


def test_features_see_what_they_are_named_for():
    dice = np.random.default_rng(1)
    rough = Image.fromarray(dice.integers(0, 255, (256, 256, 3), dtype=np.uint8))
    red, flat = Image.new("RGB", (64, 64), (250, 0, 0)), Image.new("RGB", (64, 64), (90, 90, 90))
    assert features(rough)["sharpness"] > features(red)["sharpness"]
    assert features(red)["saturation_mean"] > 0.9
    assert features(flat)["grey_share"] == 1.0
    assert features(red)["mirrored"] == 1.0 > features(rough)["mirrored"]
    assert features(rough)["slope"] > -0.5, "noise has all frequencies alike"


# regression


def test_no_group_is_on_both_sides_of_a_fold_and_each_row_is_judged_once():
    groups = [0] * 7 + [1, 1, 2, 2, 3, 4, 5, 6, 6]
    judged = []
    for train_rows, judged_rows in folds(groups):
        assert not {groups[i] for i in train_rows} & {groups[i] for i in judged_rows}
        judged += judged_rows.tolist()
    assert sorted(judged) == list(range(len(groups)))
    with pytest.raises(ValueError, match="two groups"):
        list(folds([1, 1]))


def test_ridge_is_the_textbooks_for_its_penalty():
    dice = np.random.default_rng(3)
    given = dice.normal(size=(40, 5)) * [1, 2, 3, 4, 5]
    points = given @ [1.0, 0.5, 0.0, -0.3, 0.1] + dice.normal(0, 0.1, 40)
    line = fit(given, points, list(range(40)))
    plain = (given - given.mean(axis=0)) / given.std(axis=0)
    exact = np.linalg.solve(plain.T @ plain + line.penalty * np.eye(5), plain.T @ (points - points.mean()))
    assert np.allclose(line.weights, exact)
    assert quality(line.predict(given), points).r2 > 0.97


def test_ranks_share_ties():
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
    constant = quality(np.full(4, 2.0), np.array([1.0, 2.0, 3.0, 2.0]))
    assert constant.spearman == 0.0
