"""The golden corpus: every shape of event that was ever written decodes for ever, to the letter.

`golden/<type>.v<N>.json` is an array of stored events of one type and version. A file is never edited once events
of its shape are in somebody's log: a new shape is a new version with an upcaster, and a new file. To add the file of
a new type, write its JSON by hand; the first test names what is missing.
"""

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.jobs.image_params import ImageParams
from app.ledger.form_price import quote_forms
from app.ledger.price_book import CURRENT, PRICE_BOOKS, WorkerChoice
from app.ledger.quote import ModelChoice, quote_image
from events import codec
from events.base import Event, Metadata, Recorded
from events.chain import genesis, link_of
from events.codec import EVENT_TYPES, UnknownEventError, decode, decode_metadata, encode, encode_metadata
from events.upcasters import UPCASTERS
from tests.factories import START, uid

GOLDEN = Path(__file__).with_name("golden")
FILES = sorted(GOLDEN.glob("*.json"))


def parts(path: Path) -> tuple[str, int]:
    """The type and version that a file's name says."""
    name, version = path.stem.rsplit(".v", 1)
    return name, int(version)


def stored(path: Path) -> list[bytes]:
    """The events in a file, each as it is stored: compact, keys in the order written."""
    return [msgspec.json.encode(event) for event in json.loads(path.read_text(encoding="utf-8"))]


def test_every_type_has_a_file_of_its_version_and_no_file_is_of_an_unknown_type():
    wanted = {
        (name, version) for name, cls in EVENT_TYPES.items() for version in range(1, cls.SCHEMA_VERSION + 1)
    }
    assert {parts(path) for path in FILES} == wanted


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shape_ever_written_decodes(path: Path):
    name, version = parts(path)
    events = [decode(name, version, data) for data in stored(path)]
    assert events
    for event, data in zip(events, stored(path), strict=True):
        assert type(event) is EVENT_TYPES[name]
        assert decode(name, type(event).SCHEMA_VERSION, encode(event)) == event
        # A text from before its type got a defaulted field lacks it.
        if (
            version == type(event).SCHEMA_VERSION
            and _defaulted(type(event)) <= msgspec.json.decode(data).keys()
        ):
            assert encode(event) == data, "the stored text of this shape has changed"


def _defaulted(cls: type[Event]) -> set[str]:
    """Fields that its shape got since its first version was written."""
    return {field.name for field in msgspec.structs.fields(cls) if not field.required}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_unknown_field_or_a_missing_one_is_an_error(path: Path):
    name, version = parts(path)
    for text in stored(path):
        body: dict[str, Any] = msgspec.json.decode(text)
        with pytest.raises(msgspec.ValidationError):
            decode(name, version, msgspec.json.encode({**body, "surprise": 1}))
        for field in body.keys() - _defaulted(EVENT_TYPES[name]):
            less = {key: value for key, value in body.items() if key != field}
            with pytest.raises(msgspec.ValidationError):
                decode(name, version, msgspec.json.encode(less))


def test_events_are_frozen_keyword_only_and_closed():
    for name, cls in EVENT_TYPES.items():
        config = cls.__struct_config__
        assert config.frozen, name
        kinds = {parameter.kind for parameter in inspect.signature(cls).parameters.values()}
        assert kinds == {inspect.Parameter.KEYWORD_ONLY}, name
        assert config.forbid_unknown_fields, name
        assert cls.SCHEMA_VERSION >= 1
        category, _, word = name.partition(".")
        assert (category.islower(), word) == (True, cls.__name__)


def test_names_are_literals_of_their_classes():
    """A class renamed or moved must not change what is in the log."""
    assert all("TYPE" in vars(cls) and vars(cls)["TYPE"] == name for name, cls in EVENT_TYPES.items())
    assert len(set(EVENT_TYPES.values())) == len(EVENT_TYPES)


#: categories of streams; all but some are about somebody
STREAMS = {"user", "job", "worker", "team", "message", "house", "webhook", "rater"}
OF_NOBODY = {"house", "imageset", "picture", "takedown"}


def test_streams_and_subjects_are_ids_only():
    for path in FILES:
        name, version = parts(path)
        for data in stored(path):
            event = decode(name, version, data)
            category, _, key = event.stream().partition("-")
            assert category in STREAMS | OF_NOBODY
            assert len(key) == 36
            assert (event.subject() is None) is (
                category in OF_NOBODY and name != "images.PictureReported"
            ), name


# --- upcasters


class Renamed(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A made-up fact in its third shape."""

    TYPE = "test.Renamed"
    SCHEMA_VERSION = 3

    user: str
    amount: int


MADE_UP = {
    ("test.Renamed", 1): lambda body: {"name": body["name"], "kudos": body["kudos"] * 100},
    ("test.Renamed", 2): lambda body: {"user": body["name"], "amount": body["kudos"]},
}


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codec.EVENT_TYPES, "test.Renamed", Renamed)
    monkeypatch.setitem(codec._decoders, "test.Renamed", msgspec.json.Decoder(Renamed))


@pytest.mark.usefixtures("renamed")
def test_old_shapes_are_led_step_by_step_to_the_present_one():
    today = Renamed(user="x", amount=500)
    assert decode("test.Renamed", 1, b'{"name":"x","kudos":5}', MADE_UP) == today
    assert decode("test.Renamed", 2, b'{"name":"x","kudos":500}', MADE_UP) == today
    assert decode("test.Renamed", 3, b'{"user":"x","amount":500}', MADE_UP) == today


@pytest.mark.usefixtures("renamed")
@pytest.mark.parametrize("version", [0, 1, 4])
def test_a_version_without_a_way_is_an_error(version: int):
    half = {("test.Renamed", 2): MADE_UP["test.Renamed", 2]}
    with pytest.raises(UnknownEventError):
        decode("test.Renamed", version, b'{"name":"x","kudos":5}', half)


@pytest.mark.usefixtures("renamed")
def test_what_an_upcaster_makes_is_checked_like_anything_else():
    bad = {("test.Renamed", 2): lambda body: {**body, "more": 1}}
    with pytest.raises(msgspec.ValidationError):
        decode("test.Renamed", 2, b'{"user":"x","amount":1}', bad)


def test_there_is_an_upcaster_for_each_step_of_each_type():
    steps = {(name, v) for name, cls in EVENT_TYPES.items() for v in range(1, cls.SCHEMA_VERSION)}
    assert set(UPCASTERS) == steps


def test_an_unknown_type_is_an_error():
    with pytest.raises(UnknownEventError, match="no\\.Such"):
        decode("no.Such", 1, b"{}")


def test_a_fact_that_would_not_survive_storage_is_never_appended():
    broken = msgspec.structs.replace(_first("kudos.KudosGranted"), amount="many")  # type: ignore[arg-type]
    with pytest.raises(msgspec.ValidationError):
        encode(broken)
    infinite = msgspec.structs.replace(_first("jobs.ImageJobSubmitted"), cfg_scale=float("nan"))
    with pytest.raises((msgspec.ValidationError, ValueError)):
        encode(infinite)


def _first(name: str) -> Event:
    return decode(name, 1, stored(GOLDEN / f"{name}.v1.json")[0])


# --- the chain


def test_the_chain_can_be_computed_without_this_program():
    """The hash of a known event, as any other program computes it from the documented form."""
    data = stored(GOLDEN / "kudos.KudosGranted.v1.json")[0]
    metadata = encode_metadata(Metadata(command=uid(5)))
    event = Recorded(
        position=7, event_id=uid(6), stream=f"user-{uid(1)}", type="kudos.KudosGranted", schema_version=1,
        subject=uid(1), occurred_at=START, data=data, metadata=metadata, hash=b"",
    )  # fmt: skip
    canonical = json.dumps(
        [7, str(uid(6)), f"user-{uid(1)}", "kudos.KudosGranted", 1, str(uid(1)), "2026-01-01T00:00:00.000000+00:00",
         data.decode(), metadata.decode()],
        separators=(",", ":"), ensure_ascii=False,
    )  # fmt: skip
    previous = hashlib.sha256(b"hoard log 1 realm 0").digest()
    assert genesis(0) == previous
    assert link_of(previous, event) == hashlib.sha256(previous + canonical.encode()).digest()
    assert genesis(1) != genesis(0)


def test_metadata_holds_ids_only_and_leaves_out_what_is_not_there():
    metadata = Metadata(command=uid(5), actor=uid(1), causation=3, correlation=uid(2))
    assert decode_metadata(encode_metadata(metadata)) == metadata
    assert encode_metadata(Metadata(command=uid(5))) == b'{"command":"00000000-0000-0000-0000-000000000005"}'


# --- the price books, which old quotes refer to


def test_price_books_are_never_edited():
    """What each version of the book says for known jobs, in hundredths."""
    path = GOLDEN.with_name("price_books.json")
    entries = json.loads(path.read_text(encoding="utf-8"))
    for entry in entries:
        shape = {name: entry[name] for name in ("width", "height", "steps", "post_processing")}
        params = msgspec.convert({**shape, **entry.get("params", {})}, ImageParams)
        quotes = [
            quote_image(
                params,
                n=1,
                shared=shared,
                models=(ModelChoice("model", entry.get("baseline", "stable diffusion 1")),),
                choice=WorkerChoice(**entry.get("choice", {})),
                max_kudos=None,
                book=PRICE_BOOKS[entry["version"]],
            )
            for shared in (False, True)
        ]
        assert [quote.tax for quote in quotes] == entry["taxes"], entry
        expected = (entry["price"], entry.get("surcharge", 0))
        assert {(quote.price, quote.surcharge) for quote in quotes} == {expected}, entry
    assert {entry["version"] for entry in entries} == set(PRICE_BOOKS)


def test_prices_of_texts_are_never_edited():
    """What each version of the book says for known texts, in hundredths: (parameters, length, prompt, price)."""
    golden = json.loads(GOLDEN.with_name("text_prices.json").read_text(encoding="utf-8"))
    for version, entry in golden.items():
        prices = PRICE_BOOKS[int(version)].texts
        assert prices.tax == entry["tax"]
        assert prices.undescribed == entry["undescribed"]
        assert {size.value: parameters for size, parameters in prices.classes.items()} == entry["classes"]
        for parameters, length, prompt, price in entry["prices"]:
            assert prices.price(parameters, length=length, prompt_tokens=prompt) == price, (
                parameters,
                length,
                prompt,
            )
    assert str(CURRENT.version) in golden


def test_prices_of_forms_are_never_edited():
    """What each version of the book says for known forms, in hundredths."""
    entries = json.loads(GOLDEN.with_name("form_prices.json").read_text(encoding="utf-8"))
    for entry in entries:
        quote = quote_forms(
            (entry["form"],),
            tiles=entry["tiles"],
            reused=(),
            choice=WorkerChoice(**entry.get("choice", {})),
            book=PRICE_BOOKS[entry["version"]],
        )
        assert (quote.price, quote.surcharge, quote.tax) == tuple(entry["amounts"]), entry
    assert {entry["version"] for entry in entries} == set(PRICE_BOOKS) - {1}
