"""What describes a release: data card with Hugging Face front matter, Croissant metadata, licence. Pure.

The same release gives the same words: no time of day. Look next: `app.datasets.build`, docs/datasets.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pyarrow as pa

from app.datasets.tables import TABLES

LICENCE: Final = """\
Pictures that users of this cluster shared, their prompts and parameters, and the ratings, comparisons, sums and splits in
this release are placed under CC0 1.0 Universal (SPDX: CC0-1.0), as far as those who made them have rights in them:
https://creativecommons.org/publicdomain/zero/1.0/legalcode

Rows of imported pictures (image_set other than 5a7e0000-0000-4000-8000-000000000001) come from others' data sets: the
column `licence` of the table `metadata` has the SPDX id that their import named. Copies of their pictures, as WebP without
metadata, are in images/imported-*.tar only as far as the operator of this house says that their licence allows it; of all
others the table has the address, and hashes of what was there where it was looked at.

What TOMBSTONES names was withdrawn or taken down: please delete your copies of it.
"""
_LICENCE_URL: Final = "https://creativecommons.org/publicdomain/zero/1.0/"
_ABOUT: Final = {
    "metadata": "One row for each picture: how it was made, its hashes, its licence, where it stands in the log.",
    "ratings": "One row for each rating, with what was known of its rater at that moment and at the cut.",
    "aggregates": "One row for each picture that was judged.",
    "pairs": "Pairs of pictures of which somebody said which one is better.",
    "splits": "Which split each picture is in: no prompt and no requester is in two.",
}
_IMPORTS: Final = {
    False: "Imported pictures are not here: `url` says where they were, `sha256`, `original_sha256` and `phash` what "
    "was there, where this house looked.",
    True: "`images/imported-*.tar` has copies of imported pictures whose licence, says the operator, allows it: mind "
    "the column `licence`. Of all others `url` says where they were, and hashes what was there.",
}
_TYPES: Final = {"float": "sc:Float", "double": "sc:Float", "bool": "sc:Boolean"}


def readme(name: str, position: int, log_hash: str, rows: Mapping[str, int], *, imports: bool) -> str:
    """The data card."""
    configs = "".join(
        f"- config_name: {table}\n  data_files: {table}/*.parquet\n"
        + ("  default: true\n" if table == "ratings" else "")
        for table in TABLES
    )
    licences = "license:\n- cc0-1.0\n- other\n" if imports else "license: cc0-1.0\n"
    table_rows = "".join(f"| `{table}/` | {rows[table]} | {_ABOUT[table]} |\n" for table in TABLES)
    return f"""---
{licences}pretty_name: Pictures and ratings of a crowdsourced cluster, {name}
language:
- en
tags:
- aesthetics
- ratings
- text-to-image
- preferences
task_categories:
- text-to-image
- image-classification
configs:
{configs}---

# Pictures and ratings, {name}

Cut at position {position} of the public log, whose hash there is `{log_hash}`. Built again from that position it has
the same bytes, as long as nothing of it was withdrawn.

| folder | rows | |
|---|---|---|
{table_rows}| `images/` | {rows["pictures"] + rows["copies"]} | WebDataset tars: `<id>.webp`, `<id>.json`, `<id>.txt` (the prompt or caption). |
| `TOMBSTONES.parquet` | {rows["tombstones"]} | What was published up to here and is no more, with the reason. Delete your copies. |

## What to know before using it

- Raters are whoever came: they chose themselves, and were paid in kudos. `suspect` marks ratings that a published method
  does not believe; they are kept, so that you may judge for yourself. `aggregates.n_trusted` leaves them out.
- `image_nsfw` is what a picture's requester said, not what a classifier found.
- People are hashes under a key that is not published. The hash of one person is the same in all releases of this house.
- Splits keep prompts and registered requesters apart; anonymous requesters cannot be told apart.
- {_IMPORTS[rows["copies"] > 0]}
- `position` and `event_hash` lead to the event of the public log that a row was made from.

Please honour `TOMBSTONES`: it names by SHA-256 what people took back.
"""


def croissant(name: str, rows: Mapping[str, int], address: str) -> bytes:
    """Croissant metadata (https://mlcommons.org/croissant): tables as sets of records.

    All files are named relative to the release, which lies in a folder of its name at `address`, if that is known.
    """
    present = [table for table in TABLES if rows[table]]
    tars = rows["pictures"] + rows["copies"] > 0
    value = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"hoard-{name}",
        "description": "Pictures that users of a crowdsourced cluster shared, and how people rated them.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": _LICENCE_URL,
        "url": f"{address.rstrip('/')}/{name}/" if address else "./",
        "version": "1.0.0",
        "distribution": [
            *(_files(table, f"{table}/*.parquet", "application/x-parquet") for table in present),
            *([_files("images", "images/*.tar", "application/x-tar")] if tars else []),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": table,
                "name": table,
                "description": _ABOUT[table],
                "field": [_field(table, field) for field in TABLES[table]],
            }
            for table in present
        ],
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _files(name: str, where: str, kind: str) -> dict[str, str]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}-files",
        "name": f"{name}-files",
        "encodingFormat": kind,
        "includes": where,
    }


def _field(table: str, field: Any) -> dict[str, Any]:
    repeated = pa.types.is_list(field.type)
    return {
        "@type": "cr:Field",
        "@id": f"{table}/{field.name}",
        "name": f"{table}/{field.name}",
        "dataType": _data_type(field.type.value_type if repeated else field.type),
        **({"repeated": True} if repeated else {}),
        "source": {"fileSet": {"@id": f"{table}-files"}, "extract": {"column": field.name}},
    }


def _data_type(kind: Any) -> str:
    if pa.types.is_timestamp(kind):
        return "sc:DateTime"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return _TYPES.get(str(kind), "sc:Text")


_CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
