"""Copies of the log: segments keep every byte, tampering is found and named, replay is the same fold as everywhere."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import msgspec
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from app.accounts.decider import OpenRealm
from app.operations.balances import balances_of_copy
from app.operations.replay import replay
from app.operations.segments import (
    FORMAT,
    CopyError,
    Manifest,
    Segment,
    decode_manifest,
    encode_manifest,
    encode_segment,
    read_copy,
    read_manifest,
    read_segment,
    segment_name,
)
from app.operations.verify_log import Proof, verify_copy, verify_live
from events.base import ANONYMOUS, Recorded
from events.chain import genesis, link_of
from projections.registry import INLINE
from tests.factories import check_in, deliver, grant, pop, register, submit
from tests.model import MemoryLog

CHECKOUT = Path(__file__).parents[3]


def history() -> MemoryLog:
    """Somebody has two pictures made and pays for them; anonymous has one waiting."""
    log = MemoryLog()
    log.run(OpenRealm())
    client, host = register(), register()
    log.run(client)
    log.run(host)
    log.run(grant(client.user, 5_000))
    worker, lease = uuid4(), uuid4()
    log.run(check_in(worker, host.user))
    log.run(submit(client.user, generations=(first := uuid4(), second := uuid4()), shared=True))
    log.wait(10)
    log.run(pop(worker, host.user, lease=lease, amount=2))
    log.wait(10)
    log.run(deliver(lease, host.user, first, second))
    log.run(submit(ANONYMOUS))
    return log


def save(folder: Path, manifest: Manifest) -> None:
    (folder / "manifest.json").write_bytes(encode_manifest(manifest))


def write_copy(folder: Path, events: list[Recorded], size: int) -> Manifest:
    """A copy as `export` makes it."""
    segments, previous = [], genesis(0)
    for start in range(0, len(events), size):
        part = events[start : start + size]
        content = encode_segment(0, part)
        name = segment_name(part[0].position, part[-1].position)
        (folder / name).write_bytes(content)
        segments.append(
            Segment(
                file=name,
                first=part[0].position,
                last=part[-1].position,
                count=len(part),
                sha256=hashlib.sha256(content).hexdigest(),
                previous=previous.hex(),
                hash=part[-1].hash.hex(),
            )
        )
        previous = part[-1].hash
    manifest = Manifest(
        format=FORMAT,
        realm=0,
        genesis=genesis(0).hex(),
        segment_events=size,
        segments=tuple(segments),
        exported_at=len(events),
    )
    save(folder, manifest)
    return manifest


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return history()


@pytest.fixture
def copy(tmp_path: Path, log: MemoryLog) -> Path:
    assert len(log.events) > 12
    write_copy(tmp_path, log.events, 5)
    return tmp_path


def forge(events: list[Recorded], index: int, **changes: object) -> list[Recorded]:
    """The events with one altered, and all hashes behind it made to fit."""
    forged, previous = list(events), genesis(0)
    forged[index] = replace(forged[index], **changes)
    for i, event in enumerate(forged):
        forged[i] = replace(event, hash=link_of(previous, event))
        previous = forged[i].hash
    return forged


def test_a_segment_keeps_every_event_and_the_same_events_give_the_same_bytes(log: MemoryLog):
    content = encode_segment(0, log.events)
    assert list(read_segment(content, 0)) == log.events
    assert encode_segment(0, log.events) == content
    with pytest.raises(CopyError, match="another realm"):
        list(read_segment(content, 1))


def test_the_columns_of_a_segment_are_typed(log: MemoryLog, tmp_path: Path):
    path = tmp_path / "segment.parquet"
    path.write_bytes(encode_segment(0, log.events))
    file = pq.ParquetFile(path)
    types = {field.name: str(field.type) for field in file.schema_arrow}
    assert types["event_id"] == types["subject"] == "extension<arrow.uuid>"
    assert types["occurred_at"] == "timestamp[us, tz=UTC]"
    assert types["hash"] == "fixed_size_binary[32]"
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_an_untouched_copy_is_clean(copy: Path, log: MemoryLog):
    proof = verify_copy(copy)
    assert proof == Proof(realm=0, last=len(log.events), hash=log.events[-1].hash.hex(), fault=None)


def test_an_altered_row_is_named_even_if_the_manifest_fits(copy: Path, log: MemoryLog):
    events = list(log.events)
    events[6] = replace(events[6], data=events[6].data.replace(b"true", b"false").replace(b"1", b"2"))
    write_copy(copy, events, 5)
    fault = verify_copy(copy).fault
    assert fault is not None
    assert (fault.position, fault.file) == (7, "events-6-10.parquet")
    assert "hash" in fault.problem


def test_an_altered_row_under_the_old_manifest_is_named_too(copy: Path, log: MemoryLog):
    part = list(log.events[5:10])
    part[3] = replace(part[3], stream="user-somebody-else")
    (copy / "events-6-10.parquet").write_bytes(encode_segment(0, part))
    fault = verify_copy(copy).fault
    assert fault is not None
    assert fault.position == 9
    assert "SHA-256" in fault.problem


def test_every_single_altered_byte_is_found(copy: Path):
    path = copy / "events-6-10.parquet"
    original = path.read_bytes()
    for at in range(0, len(original), max(1, len(original) // 40)):
        path.write_bytes(original[:at] + bytes([original[at] ^ 1]) + original[at + 1 :])
        fault = verify_copy(copy).fault
        assert fault is not None, at
        assert fault.file == path.name
        assert 6 <= fault.position <= 11
    path.write_bytes(original)
    assert verify_copy(copy).clean


def test_a_missing_file_is_named(copy: Path):
    (copy / "events-6-10.parquet").unlink()
    fault = verify_copy(copy).fault
    assert fault is not None
    assert (fault.position, fault.file) == (6, "events-6-10.parquet")


@pytest.mark.parametrize(
    ("change", "position"),
    [
        (lambda m: replace(m, segments=m.segments[1:]), 1),
        (lambda m: replace(m, segments=(m.segments[0], *m.segments[2:])), 6),
        (lambda m: replace(m, segments=m.segments[:2]), 11),
        (lambda m: replace(m, genesis="00" * 32), 1),
        (lambda m: replace(m, segments=(replace(m.segments[0], previous="00" * 32), *m.segments[1:])), 1),
        (lambda m: replace(m, segments=(m.segments[0], replace(m.segments[1], previous="00" * 32))), 6),
        (lambda m: replace(m, segments=(m.segments[0], replace(m.segments[1], count=4))), 6),
    ],
)
def test_a_manifest_with_a_gap_is_named(copy: Path, change: Callable[[Manifest], Manifest], position: int):
    save(copy, change(read_manifest(copy)))
    fault = verify_copy(copy).fault
    assert fault is not None
    assert (fault.position, fault.file) == (position, "manifest.json")


@pytest.mark.parametrize(
    ("index", "changes", "problem"),
    [
        (3, {"type": "kudos.Unheard"}, "decoded"),
        (3, {"data": b'{"user":"x"}'}, "decoded"),
        (3, {"metadata": b'{"command":"00000000-0000-0000-0000-000000000000","word":"x"}'}, "decoded"),
        (3, {"stream": "user-other"}, "envelope"),
        (3, {"subject": None}, "envelope"),
    ],
)
def test_a_forged_chain_still_has_to_make_sense(
    tmp_path: Path, log: MemoryLog, index: int, changes: dict[str, object], problem: str
):
    write_copy(tmp_path, forge(log.events, index, **changes), 100)
    fault = verify_copy(tmp_path).fault
    assert fault is not None
    assert fault.position == index + 1
    assert problem in fault.problem


def test_unbalanced_postings_are_found(tmp_path: Path, log: MemoryLog):
    granted = next(i for i, event in enumerate(log.events) if event.type == "kudos.KudosGranted")
    forged = forge(log.events, granted, data=log.events[granted].data.replace(b",5000]", b",5001]"))
    assert forged[granted].data != log.events[granted].data
    write_copy(tmp_path, forged, 100)
    fault = verify_copy(tmp_path).fault
    assert fault is not None
    assert (fault.position, fault.problem) == (granted + 1, "its postings do not sum to zero")


def test_a_name_in_a_manifest_leads_nowhere_else(copy: Path):
    manifest = read_manifest(copy)
    astray = replace(manifest.segments[0], file="../events-1-5.parquet")
    with pytest.raises(CopyError, match="name"):
        decode_manifest(encode_manifest(replace(manifest, segments=(astray,))))


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"format":"other"}'])
def test_something_else_is_no_manifest(copy: Path, content: bytes):
    (copy / "manifest.json").write_bytes(content)
    assert not verify_copy(copy).clean


def live(log: MemoryLog, **changes: object) -> Proof:
    rows = [(p.position, p.ordinal, p.account, p.amount, p.balance) for p in log.postings]
    given = {"events": log.events, "postings": rows, "last": len(log.events)} | changes
    return verify_live(0, **given)  # type: ignore[arg-type]


def test_the_postings_table_must_say_what_the_events_say(log: MemoryLog):
    assert live(log).clean
    rows = [(p.position, p.ordinal, p.account, p.amount, p.balance) for p in log.postings]
    for index, row in enumerate(rows):
        for changed in ([], [(*row[:3], row[3] + 1, row[4])], [(*row[:4], (row[4] or 0) + 1)], [row, row]):
            fault = live(log, postings=[*rows[:index], *changed, *rows[index + 1 :]]).fault
            assert fault is not None, (row, changed)
            assert fault.position == row[0]


def test_a_live_log_that_ends_early_or_has_a_gap_is_found(log: MemoryLog):
    fault = live(log, events=log.events[:-1]).fault
    assert fault is not None
    assert fault.position == len(log.events)
    fault = live(log, events=[*log.events[:4], *log.events[5:]]).fault
    assert fault is not None
    assert (fault.position, fault.problem) == (5, "is missing; 6 stands in its place")


def test_replay_of_a_copy_gives_the_rows_of_the_server(copy: Path, log: MemoryLog):
    manifest = read_manifest(copy)
    replayed, state = replay(read_copy(copy, manifest), manifest.exported_at)
    assert {p.name: state[p.name] for p in INLINE} == log.state
    assert replayed.position == len(log.events)
    assert replayed.total == 0
    assert replayed.generations == {"DONE": 2, "WAITING": 1}
    assert sum(replayed.events.values()) == len(log.events)
    anonymous = replayed.balances[0]
    assert (anonymous.subject, anonymous.balance) == ("00000000-0000-0000-0000-000000000000", -5_000)


def test_replay_stops_where_it_is_told(copy: Path, log: MemoryLog):
    replayed, _ = replay(read_copy(copy, read_manifest(copy), upto=4), 4)
    assert replayed.position == 4
    assert sum(replayed.events.values()) == 4


def test_replay_of_a_copy_with_a_hole_fails(copy: Path):
    (copy / "events-6-10.parquet").unlink()
    with pytest.raises(CopyError) as caught:
        list(read_copy(copy, read_manifest(copy)))
    assert (caught.value.position, caught.value.file) == (6, "events-6-10.parquet")


def test_a_copy_is_proved_and_replayed_without_any_database_driver(copy: Path):
    program = """
import sys
for name in ("psycopg", "sqlalchemy", "redis", "minio"):
    sys.modules[name] = None
from pathlib import Path
from app.accounts.decider import OpenRealm
from app.operations.replay import replay
from app.operations.segments import read_copy, read_manifest
from app.operations.verify_log import verify_copy
folder = Path(sys.argv[1])
assert verify_copy(folder).clean
manifest = read_manifest(folder)
print(replay(read_copy(folder, manifest), manifest.exported_at)[0].total)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(copy)],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_the_manifest_is_stable_json(copy: Path):
    content = (copy / "manifest.json").read_bytes()
    assert encode_manifest(decode_manifest(content)) == content
    assert set(msgspec.json.decode(content)["segments"][0]) == {
        "file",
        "first",
        "last",
        "count",
        "sha256",
        "previous",
        "hash",
    }


@pytest.mark.parametrize("upto", [None, 9, 11, 10_000])
def test_balances_alone_are_those_of_a_whole_replay(copy: Path, log: MemoryLog, upto: int | None):
    found = balances_of_copy(copy, read_manifest(copy), upto)
    replayed, _ = replay(log.events[:upto], len(log.events))
    users = {f"user:{row.subject}": row.balance for row in replayed.balances if row.balance}
    assert {account: amount for account, amount in found.items() if amount} == {
        **users,
        **{account: amount for account, amount in replayed.system.items() if amount},
    }
    assert sum(found.values()) == 0


def test_balances_alone_are_of_no_altered_file(copy: Path):
    manifest = read_manifest(copy)
    (copy / manifest.segments[1].file).write_bytes(b"other")
    with pytest.raises(CopyError, match="not the file") as refused:
        balances_of_copy(copy, manifest)
    assert refused.value.position == manifest.segments[1].first
