"""The tables of a release: their columns, and Parquet files that come out the same for the same rows.

Row groups have a fixed number of rows and are written as they fill, so that no table is ever in memory. Column names are
those of the data sets that researchers know (DiffusionDB, AI-Horde-Ratings, Pick-a-Pic, LAION). May know no event and no
bucket. Look next: `app.datasets.build`; docs/datasets.md explains every column.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

#: rows of one row group
GROUP_ROWS: Final = 10_000
_TEXT: Final = pa.string()
_INSTANT: Final = pa.timestamp("us", tz="UTC")


def _schema(needed: dict[str, Any], nullable: dict[str, Any]) -> Any:
    fields = [pa.field(name, kind, nullable=False) for name, kind in needed.items()]
    return pa.schema(fields + [pa.field(name, kind) for name, kind in nullable.items()])


METADATA: Final = _schema(
    {
        "image_name": _TEXT,
        "width": pa.uint16(),
        "height": pa.uint16(),
        "timestamp": _INSTANT,
        "image_nsfw": pa.float32(),
        "prompt_nsfw": pa.float32(),
        "user_type": _TEXT,
        "licence": _TEXT,
        "image_set": _TEXT,
        "position": pa.int64(),
        "event_hash": _TEXT,
    },
    {
        "prompt": _TEXT,
        "part_id": pa.uint16(),
        "seed": _TEXT,
        "step": pa.uint16(),
        "cfg": pa.float32(),
        "sampler": pa.uint8(),
        "user_name": _TEXT,
        "negative_prompt": _TEXT,
        "set_id": _TEXT,
        "model": _TEXT,
        "sampler_name": _TEXT,
        "karras": pa.bool_(),
        "pp": pa.list_(_TEXT),
        "user_hash": _TEXT,
        "sha256": _TEXT,
        "original_sha256": _TEXT,
        "phash": _TEXT,
        "size": pa.int64(),
        "consent_position": pa.int64(),
        "consent_version": pa.int32(),
        "url": _TEXT,
        "caption": _TEXT,
        "nsfw": _TEXT,
        "similarity": pa.float64(),
        "aesthetic_score": pa.float64(),
        "hash": _TEXT,
        "punsafe": pa.float64(),
        "pwatermark": pa.float64(),
    },
)
RATINGS: Final = _schema(
    {
        "id": _TEXT,
        "ratings_count": pa.int64(),
        "rating": pa.int32(),
        "kudos": pa.float64(),
        "account_age": pa.int64(),
        "usage_requests": pa.int64(),
        "created_at": _INSTANT,
        "client_agent": _TEXT,
        "user_id": _TEXT,
        "trusted": pa.bool_(),
        "validated": pa.bool_(),
        "rating_id": _TEXT,
        "image_set": _TEXT,
        "own": pa.bool_(),
        "again": pa.bool_(),
        "tags": pa.list_(_TEXT),
        "ratings_given": pa.int64(),
        "account_kind": _TEXT,
        "suspect": pa.bool_(),
        "standing": _TEXT,
        "position": pa.int64(),
        "event_hash": _TEXT,
    },
    {
        "artifacts": pa.int32(),
        "set_id": _TEXT,
        "took_ms": pa.int64(),
        "reliability": pa.float64(),
        "bias": pa.float64(),
        "spread": pa.float64(),
    },
)
AGGREGATES: Final = _schema(
    {
        "id": _TEXT,
        "image_set": _TEXT,
        "n": pa.int64(),
        "n_trusted": pa.int64(),
        "comparisons": pa.int64(),
        "wins": pa.float64(),
    },
    {
        "set_id": _TEXT,
        "mean": pa.float64(),
        "median": pa.float64(),
        "std": pa.float64(),
        "robust_score": pa.float64(),
        "robust_error": pa.float64(),
        "artifacts_mean": pa.float64(),
    },
)
PAIRS: Final = _schema(
    {
        "image_0_uid": _TEXT,
        "image_1_uid": _TEXT,
        "image_0_url": _TEXT,
        "image_1_url": _TEXT,
        "label_0": pa.float64(),
        "label_1": pa.float64(),
        "are_different": pa.bool_(),
        "best_image_uid": _TEXT,
        "has_label": pa.bool_(),
        "model_0": _TEXT,
        "model_1": _TEXT,
        "ranking_id": pa.int64(),
        "user_id": _TEXT,
        "created_at": _INSTANT,
        "num_example_per_prompt": pa.int64(),
        "position": pa.int64(),
        "source": _TEXT,
    },
    {"caption": _TEXT},
)
SPLITS: Final = _schema({"id": _TEXT, "prompt_hash": _TEXT, "split": _TEXT}, {"user_id": _TEXT})
TOMBSTONES: Final = _schema(
    {"id": _TEXT, "image_set": _TEXT, "reason": _TEXT, "position": pa.int64()}, {"sha256": _TEXT}
)

#: the tables that lie in folders of their own
TABLES: Final = {
    "metadata": METADATA,
    "ratings": RATINGS,
    "aggregates": AGGREGATES,
    "pairs": PAIRS,
    "splits": SPLITS,
}
#: what names a row, for comparisons of releases
KEYS: Final = {
    "metadata": ("image_name",),
    "ratings": ("rating_id",),
    "aggregates": ("id",),
    "pairs": ("position", "image_0_uid", "image_1_uid"),
    "splits": ("id",),
}


class TableWriter:
    """Writes rows, as tuples in the order of a schema's columns, into one Parquet file."""

    def __init__(self, path: Path, schema: Any) -> None:
        """Open the file, which is replaced. Raises `OSError`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []
        self.count = 0
        self._file = pq.ParquetWriter(path, schema, compression="zstd", write_statistics=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._file.close()

    def add(self, row: dict[str, Any]) -> None:
        """One more row: every column must be there."""
        self._rows.append(tuple(row[name] for name in self._schema.names))
        self.count += 1
        if len(self._rows) == GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows or self.count == 0:
            columns = list(zip(*self._rows, strict=True)) or [()] * len(self._schema)
            arrays = [
                pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)
            ]
            self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
            self._rows = []
