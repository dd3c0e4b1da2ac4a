"""One part of a release: a WebDataset tar of pictures, and the table of their metadata.

A part has the pictures of a fixed stretch of the log, so that a withdrawal changes one part and no other, and a part that
is there already is known by what it was made from. Bytes depend on nothing else: headers have no time and no owner.
Look next: `app.datasets.build`, `app.datasets.tables`.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from app.datasets.manifest import copies_name, metadata_name, tar_name
from app.datasets.people import People
from app.datasets.reading import GoneError, Pictures, Shown, shown
from app.datasets.scratch import Scratch
from app.datasets.tables import METADATA, TableWriter
from events.images import SHARED_SET

#: what DiffusionDB calls samplers; all others are 9
SAMPLERS: Final = {
    "ddim": 1,
    "plms": 2,
    "k_euler": 3,
    "k_euler_a": 4,
    "k_heun": 5,
    "k_dpm_2": 6,
    "k_dpm_2_a": 7,
    "k_lms": 8,
}
OTHER_SAMPLER: Final = 9
#: pictures of an import whose words are read at a time, and in one file
WORDS_AT_ONCE: Final = 1_000
IMPORTED_PART: Final = 100_000

_OF_PART: Final = (
    "SELECT p.id, p.position, p.job, p.owner, p.sha256, p.phash, p.width, p.height, p.size, p.nsfw, p.hash, j.consent, "
    "j.text_version FROM present AS s JOIN picture AS p ON p.id = s.id LEFT JOIN job AS j ON j.id = p.job "
    "WHERE s.part = ? ORDER BY p.position, p.ordinal"
)
_IMPORTED: Final = (
    "SELECT p.id, p.position, p.image_set, p.sha256, p.phash, p.width, p.height, p.size, p.nsfw, p.hash, p.at, i.licence, "
    "p.original, s.copy_part FROM present AS s JOIN picture AS p ON p.id = s.id LEFT JOIN image_set AS i ON i.id = p.image_set "
    "WHERE s.part IS NULL ORDER BY p.position, p.ordinal"
)
_COPIES: Final = (
    "SELECT p.id, p.image_set, i.name, i.licence, p.sha256, p.original, p.phash, p.width, p.height, p.nsfw, p.copied "
    "FROM present AS s JOIN picture AS p ON p.id = s.id JOIN image_set AS i ON i.id = p.image_set "
    "WHERE s.copy_part = ? ORDER BY p.position, p.ordinal"
)


class OfPart(msgspec.Struct, frozen=True):
    """What the log says of one shared picture in a release."""

    id: UUID
    position: int
    job: UUID
    owner: bytes
    sha256: str
    phash: str
    width: int
    height: int
    size: int
    nsfw: int
    hash: str
    consent: int
    text_version: int


class OfCopies(msgspec.Struct, frozen=True):
    """A copy of an imported picture in a release, with what is said beside it."""

    id: UUID
    sha256: str
    caption: str
    #: the sample's JSON
    about: bytes


def imported_name(part: int) -> str:
    """Where metadata of imported pictures lies in a release."""
    return f"metadata/imported-{part:05}.parquet"


def pictures_of(scratch: Scratch, part: int) -> list[OfPart]:
    """The pictures of a part, in the order in which they were published."""
    return [
        OfPart(UUID(bytes=row[0]), row[1], UUID(bytes=row[2]), *row[3:])
        for row in scratch.rows(_OF_PART, (part,))
    ]


def inputs_of(pictures: Sequence[OfPart], people: People) -> str:
    """What a part is made from, as one hash: parts with the same one are the same."""
    digest = hashlib.sha256(b"1")
    for picture in pictures:
        digest.update(f"{picture.id} {picture.hash} {picture.sha256} {people.hash(picture.owner)}\n".encode())
    return digest.hexdigest()


def write_part(folder: Path, part: int, pictures: Sequence[OfPart], source: Pictures, people: People) -> None:
    """Write tar and table of a part, each seen whole or not at all.

    Raises:
        GoneError: a picture is not in the shared bucket, or another one.
        OSError, StorageUnavailableError: as their names say.
    """
    tar_path, table_path = folder / tar_name(part), folder / metadata_name(part)
    tar_path.parent.mkdir(parents=True, exist_ok=True)
    temporary_tar, temporary_table = tar_path.with_suffix(".part"), table_path.with_suffix(".part")
    with (
        tarfile.open(temporary_tar, "w", format=tarfile.USTAR_FORMAT) as tar,
        TableWriter(temporary_table, METADATA) as table,
    ):
        for picture in pictures:
            file, metadata = source.fetch(picture.id)
            said = shown(picture.id, picture.sha256, file, metadata)
            _add(tar, f"{picture.id}.json", metadata)
            _add(tar, f"{picture.id}.txt", said.prompt.encode())
            _add(tar, f"{picture.id}.webp", file)
            table.add(_shared_row(picture, said, part, people))
    temporary_tar.replace(tar_path)
    temporary_table.replace(table_path)


def copies_of(scratch: Scratch, part: int, source: Pictures) -> list[OfCopies]:
    """The copies of a part, in the order in which they were imported."""
    rows = list(scratch.rows(_COPIES, (part,)))
    words = source.words([UUID(bytes=row[0]) for row in rows])
    found = []
    for key, image_set, name, licence, sha256, original, phash, width, height, nsfw, mirrored in rows:
        picture = UUID(bytes=key)
        said = words.get(picture)
        about = {
            "id": str(picture),
            "image_set": str(UUID(bytes=image_set)),
            "set_name": name,
            "licence": licence,
            "url": said.url if said is not None and said.url else None,
            "caption": None if said is None else said.caption,
            "nsfw": bool(nsfw),
            "width": width,
            "height": height,
            "sha256": sha256,
            "original_sha256": original,
            "phash": phash,
            "event_hash": mirrored,
        }
        text = msgspec.json.encode(about, order="sorted") + b"\n"
        found.append(OfCopies(picture, sha256, str(about["caption"] or ""), text))
    return found


def inputs_of_copies(copies: Sequence[OfCopies]) -> str:
    """What a part of copies is made from, as one hash."""
    digest = hashlib.sha256(b"copies 1")
    for copy in copies:
        digest.update(copy.about)
    return digest.hexdigest()


def write_copies(folder: Path, part: int, copies: Sequence[OfCopies], source: Pictures) -> None:
    """Write the tar of a part of copies, seen whole or not at all.

    Raises:
        GoneError: a copy is not in the bucket, or another one.
        OSError, StorageUnavailableError: as their names say.
    """
    path = folder / copies_name(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for copy in copies:
            file = source.copy(copy.id, copy.sha256)
            if hashlib.sha256(file).hexdigest() != copy.sha256:
                raise GoneError(copy.id, "is another file in the bucket than the copy that was made")
            _add(tar, f"{copy.id}.json", copy.about)
            _add(tar, f"{copy.id}.txt", copy.caption.encode())
            _add(tar, f"{copy.id}.webp", file)
    temporary.replace(path)


def write_imported(folder: Path, scratch: Scratch, source: Pictures) -> int:
    """Write the tables of imported pictures; how many there are."""
    rows = _imported_rows(scratch, source)
    count = 0
    row = next(rows, None)
    while row is not None:
        with TableWriter(folder / imported_name(count // IMPORTED_PART), METADATA) as table:
            while row is not None and table.count < IMPORTED_PART:
                table.add(row)
                row = next(rows, None)
            count += table.count
    return count


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o644
    tar.addfile(member, io.BytesIO(content))


def _shared_row(picture: OfPart, said: Shown, part: int, people: People) -> dict[str, Any]:
    user = people.hash(picture.owner)
    return _EMPTY | {
        "image_name": f"{picture.id}.webp",
        "prompt": said.prompt,
        "part_id": part,
        "seed": said.seed,
        "step": said.steps,
        "cfg": said.cfg,
        "sampler": SAMPLERS.get(said.sampler, OTHER_SAMPLER),
        "width": picture.width,
        "height": picture.height,
        "user_name": user,
        "timestamp": said.delivered_at,
        "image_nsfw": float(picture.nsfw),
        "prompt_nsfw": float(picture.nsfw),
        "negative_prompt": said.negative_prompt,
        "set_id": str(picture.job),
        "model": said.model,
        "sampler_name": said.sampler,
        "karras": said.karras,
        "pp": list(said.pp),
        "user_hash": user,
        "user_type": said.user_type,
        "sha256": picture.sha256,
        "phash": picture.phash,
        "size": picture.size,
        "licence": said.licence,
        "image_set": _SHARED,
        "position": picture.position,
        "consent_position": picture.consent,
        "consent_version": picture.text_version,
        "event_hash": picture.hash,
    }


def _imported_rows(scratch: Scratch, source: Pictures) -> Iterator[dict[str, Any]]:
    cursor = scratch.connection.cursor().execute(_IMPORTED)
    while page := cursor.fetchmany(WORDS_AT_ONCE):
        words = source.words([UUID(bytes=row[0]) for row in page])
        for row in page:
            key, position, image_set, sha256, phash, width, height, size, nsfw, digest, at, licence, *copy = (
                row
            )
            original, copy_part = copy
            picture = UUID(bytes=key)
            said = words.get(picture)
            known = {} if said is None else {name: getattr(said, name) for name in _FROM_WORDS}
            yield (
                _EMPTY
                | known
                | {
                    "image_name": f"{picture}.webp",
                    "prompt": None if said is None else said.caption,
                    "url": None if said is None or not said.url else said.url,
                    "width": min(width, _MOST),
                    "height": min(height, _MOST),
                    "timestamp": at,
                    "image_nsfw": float(nsfw),
                    "prompt_nsfw": float(nsfw),
                    "user_type": "import",
                    "part_id": copy_part,
                    "sha256": sha256,
                    "original_sha256": original,
                    "phash": phash,
                    "size": size,
                    "licence": licence or "",
                    "image_set": str(UUID(bytes=image_set)),
                    "position": position,
                    "event_hash": digest,
                }
            )


_MOST: Final = 65_535
_SHARED: Final = str(SHARED_SET)
_FROM_WORDS: Final = ("caption", "nsfw", "similarity", "aesthetic_score", "hash", "punsafe", "pwatermark")
_EMPTY: Final[dict[str, Any]] = dict.fromkeys(METADATA.names)
