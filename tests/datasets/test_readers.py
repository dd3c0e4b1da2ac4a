"""Others' tools read a release as it is: tables, pictures, metadata, and the pipeline that researchers have."""

# The readers have no types, warn as they like, and are loaded where they are used.
# ruff: noqa: PLC0415
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from app.datasets.tables import TABLES

pytestmark = pytest.mark.filterwarnings("ignore")


def rows(release: Path, table: str) -> int:
    return int(json.loads((release / "release.json").read_text())["rows"][table])


def test_pyarrow_reads_every_table_with_the_columns_that_are_promised(release: Path):
    import pyarrow.dataset as ds

    for table, schema in TABLES.items():
        found = ds.dataset(release / table, format="parquet")
        assert found.schema.equals(schema), table
        assert found.count_rows() == rows(release, table) > 0


def test_pandas_reads_it(release: Path):
    import pandas as pd

    ratings = pd.read_parquet(release / "ratings")
    assert len(ratings) == rows(release, "ratings")
    assert ratings.rating.between(1, 10).all()
    assert (ratings[ratings.account_kind == "ANONYMOUS"].kudos == -50).all()


def test_polars_reads_it(release: Path):
    import polars as pl

    joined = pl.scan_parquet(release / "aggregates" / "*.parquet").join(
        pl.scan_parquet(release / "splits" / "*.parquet"), on="id"
    )
    assert joined.collect().height == rows(release, "aggregates")


def test_duckdb_sums_ratings_up_to_the_aggregates(release: Path):
    import duckdb

    (wrong,) = duckdb.sql(
        f"""SELECT count(*) FROM '{release}/aggregates/*.parquet' a LEFT JOIN (
          SELECT id, count(*) n, avg(rating) mean, median(rating) median, stddev_samp(rating) std,
            avg(artifacts) artifacts
          FROM '{release}/ratings/*.parquet' WHERE NOT own AND NOT again GROUP BY id) r USING (id)
        WHERE a.n <> coalesce(r.n, 0) OR abs(a.mean - r.mean) > 1e-9 OR a.median <> r.median OR abs(a.std - r.std) > 1e-9
          OR abs(a.artifacts_mean - r.artifacts) > 1e-9"""
    ).fetchall()[0]
    assert wrong == 0
    (trusted,) = duckdb.sql(
        f"SELECT sum(n) - sum(n_trusted) FROM '{release}/aggregates/*.parquet'"
    ).fetchall()[0]
    assert trusted > 0, "suspect and anonymous ones are told apart"


def test_hugging_face_loads_every_configuration(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    from datasets import load_dataset

    for table in TABLES:
        loaded = load_dataset(str(release), table, cache_dir=str(tmp_path / "cache"))
        assert loaded["train"].num_rows == rows(release, table)
    assert set(load_dataset(str(release), cache_dir=str(tmp_path / "cache"))["train"].features) == set(
        TABLES["ratings"].names
    )


def test_webdataset_reads_pictures_with_prompts(release: Path):
    import webdataset as wds

    tars = [f"file:{path}" for path in sorted((release / "images").glob("*.tar"))]
    samples = list(wds.WebDataset(tars, shardshuffle=False).decode("pil"))
    assert len(samples) == json.loads((release / "release.json").read_text())["pictures"]
    for sample in samples:
        assert sample["webp"].size == (32, 32)
        assert sample["json"]["id"] == sample["__key__"]
        imported = "imported-" in sample["__url__"]
        assert sample["json"]["caption" if imported else "prompt"] == sample["txt"]


def test_croissant_metadata_are_valid_and_lead_to_the_rows(release: Path, monkeypatch: pytest.MonkeyPatch):
    import jsonpath_ng
    import jsonpath_ng.lexer

    # the package that it asks for is long abandoned; see [tool.uv] in pyproject.toml
    monkeypatch.setitem(sys.modules, "jsonpath_rw", jsonpath_ng)
    monkeypatch.setitem(sys.modules, "jsonpath_rw.lexer", jsonpath_ng.lexer)
    import mlcroissant as mlc

    dataset = mlc.Dataset(jsonld=str(release / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    for table in ("ratings", "aggregates"):
        assert sum(1 for _ in dataset.records(table)) == rows(release, table)


def test_the_public_pipeline_runs_on_it_and_trains(release: Path):
    """The pipeline that the published ratings have been used with: same steps, same columns, nothing adapted."""
    import pandas as pd
    from scipy import stats

    ratings = pd.read_parquet(release / "ratings" / "part-00000.parquet")
    ratings = ratings.drop_duplicates(subset=["id", "user_id"])
    grouped = ratings.groupby("id").agg(
        ratings_count=("rating", "count"), rating=("rating", "mean"), artifacts=("artifacts", "mean")
    )
    grouped = grouped[grouped.ratings_count >= 3].reset_index()
    metadata = pd.read_parquet(release / "metadata")
    metadata["id"] = metadata.image_name.str.split(".").str[0]
    joined = grouped.merge(metadata, on="id")
    joined = joined[joined.image_nsfw != 2.0]
    train = joined.sample(frac=0.8, random_state=42)
    test = joined.drop(train.index)
    assert len(train) > 100
    assert len(test) > 20
    assert {"prompt", "part_id", "width", "height"} <= set(joined.columns)

    warmth = dict(_warmth(release))
    line = stats.linregress([warmth[each] for each in train.id], train.rating)
    guessed = line.intercept + line.slope * np.array([warmth[each] for each in test.id])
    error = float(np.sqrt(np.mean((guessed - test.rating) ** 2)))
    assert error < 0.6 * float(np.sqrt(np.mean((train.rating.mean() - test.rating) ** 2)))


def _warmth(release: Path):
    import webdataset as wds

    tars = [f"file:{path}" for path in sorted((release / "images").glob("*.tar"))]
    for sample in wds.WebDataset(tars, shardshuffle=False).decode("rgb"):
        yield sample["__key__"], float(sample["webp"][..., 0].mean())
