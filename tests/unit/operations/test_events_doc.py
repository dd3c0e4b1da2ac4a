"""The page about events is complete, and its snippet proves a copy and finds a forgery."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from app.operations.events_doc import (
    SNIPPET,
    DocumentationError,
    docs_group,
    field_comments,
    page,
    sample,
    type_name,
)
from app.operations.segments import FORMAT, Manifest, Segment, encode_manifest, encode_segment
from events.base import Event, Metadata, Recorded, postings_of
from events.chain import genesis
from events.codec import EVENT_TYPES, decode, encode, encode_metadata
from events.jobs import GenerationDelivered, ImageJobSubmitted, JobState
from events.store.log import record
from tests.factories import START, uid


def test_every_event_stands_in_the_page_with_its_fields():
    text = page()
    for name, cls in EVENT_TYPES.items():
        section = text.partition(f"### {name}\n")[2].partition("\n### ")[0]
        assert section, name
        for field in cls.__struct_fields__:
            assert f"| `{field}` |" in section


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_an_example_is_a_real_event_that_conserves_kudos(name: str):
    example, _ = sample(EVENT_TYPES[name])
    assert decode(name, example.SCHEMA_VERSION, encode(example)) == example
    assert sum(amount for _, amount in postings_of(example)) == 0


def test_comments_are_read_from_the_source_also_those_inherited():
    assert field_comments(ImageJobSubmitted)["tier"].startswith("0 registered, 1 anonymous")
    assert field_comments(GenerationDelivered)["waited"].endswith("straight to done")


def test_types_are_words():
    assert type_name(tuple[tuple[str, int], ...]) == "list of [text, integer]"
    assert type_name(str | None) == "text or null"
    assert type_name(JobState).startswith("one of `WAITING`")


def test_a_field_without_a_word_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.operations.events_doc.RECURRING", {})
    with pytest.raises(DocumentationError, match="has no"):
        page()


def test_check_tells_whether_the_page_is_up_to_date(tmp_path: Path):
    file = tmp_path / "events.md"
    run = CliRunner().invoke
    assert run(docs_group, ["events", "--check", "--file", str(file)]).exit_code == 1
    assert run(docs_group, ["events", "--write", "--file", str(file)]).exit_code == 0
    assert run(docs_group, ["events", "--check", "--file", str(file)]).exit_code == 0
    file.write_text(file.read_text() + " ")
    assert run(docs_group, ["events", "--check", "--file", str(file)]).exit_code == 1
    assert run(docs_group, ["events", "--check", "--write"]).exit_code == 2
    assert run(docs_group, ["events"]).output == page()


def chained(examples: list[Event]) -> list[Recorded]:
    events: list[Recorded] = []
    for position, event in enumerate(examples, 1):
        previous = events[-1].hash if events else genesis(3)
        metadata = encode_metadata(Metadata(command=uid(position)))
        envelope = (uid(position), event.stream(), event.TYPE, event.SCHEMA_VERSION, event.subject(), START)
        events.append(record(previous, position, *envelope, encode(event), metadata))
    return events


def run_snippet(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SNIPPET],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_snippet_in_the_page_proves_a_copy_without_hoard(tmp_path: Path):
    assert SNIPPET in page()
    assert len([line for line in SNIPPET.splitlines() if line]) <= 14
    events = chained([sample(cls)[0] for cls in EVENT_TYPES.values()])
    # Letters beyond ASCII and characters that JSON escapes must hash the same in both encoders.
    odd = replace(sample(ImageJobSubmitted)[0], sampler='ë "\\/\x01\x7f\u2028😀')
    events = chained([decode(e.type, e.schema_version, e.data) for e in events] + [odd])
    last = len(events)
    segment = Segment(
        file=f"events-1-{last}.parquet",
        first=1,
        last=last,
        count=last,
        sha256="",
        previous=genesis(3).hex(),
        hash=events[-1].hash.hex(),
    )
    manifest = Manifest(
        format=FORMAT,
        realm=3,
        genesis=genesis(3).hex(),
        segment_events=last,
        segments=(segment,),
        exported_at=last,
    )
    (tmp_path / "manifest.json").write_bytes(encode_manifest(manifest))
    (tmp_path / segment.file).write_bytes(encode_segment(3, events))
    done = run_snippet(tmp_path)
    assert done.returncode == 0, done.stderr

    events[4] = replace(events[4], data=msgspec.json.encode({"forged": True}))
    (tmp_path / segment.file).write_bytes(encode_segment(3, events))
    done = run_snippet(tmp_path)
    assert done.returncode != 0
    assert "position 5 was altered" in done.stderr
