"""`hoard write` and `hoard interrogate`: what they ask, what they print, what they save.

What they share with `hoard generate` (watching, refusals, signals) is in `test_generate.py`.
"""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from graphql import build_schema
from graphql.utilities import coerce_input_value

from clients import interrogate, pictures, write
from clients.api import Backoff
from clients.following import Watch
from clients.generate_options import POST_PROCESSORS
from clients.interrogate import FORMS, interrogate_command
from clients.ordering import INTERROGATIONS, TEXTS, Order, carry_out
from clients.report import Report, in_words
from clients.shapes import FormResult
from clients.write import text_wish, write_command
from tests.unit.clients.stand_in import standing_in

pytestmark = pytest.mark.anyio
SCHEMA = build_schema((Path(__file__).parents[3] / "schema.graphql").read_text())
QUOTE = {
    "total": "3.00",
    "items": [{"label": "tokens", "amount": "2.00"}, {"label": "tax", "amount": "1.00"}],
}


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def server():
    async with standing_in() as server:
        quoted = {"quote": QUOTE, "warnings": []}
        server.on("quoteTextJob", {"__typename": "QuoteTextSuccess", **quoted})
        server.on("quoteInterrogationJob", {"__typename": "QuoteSuccess", **quoted})
        yield server


def job(kind: str, *generations: dict) -> dict:
    return {
        "id": "j",
        "kind": kind,
        "state": "DONE",
        "charged": "3.00",
        "quote": QUOTE,
        "queuePosition": None,
        "estimatedWaitSeconds": None,
        "generations": list(generations),
    }


async def done(server, trade, state: dict, *, as_json=False, out=Path(), sources=None, **wish: object) -> int:
    """The job is submitted, and done at the first look."""
    server.on(trade.submit_field, {"job": state, "accessKey": "access", "warnings": []})
    server.on("job", state)
    order = Order(
        trade=trade,
        url=server.url,
        key="",
        wish=wish,
        sources=sources or {},
        out=out,
        watch=Watch(every=0.01, losses=0),
    )
    return await carry_out(order, Report(as_json=as_json))


WRITTEN = {
    "id": "t1",
    "state": "DONE",
    "seed": "7",
    "model": "m",
    "workerName": "w",
    "text": " on it went",
    "tokens": 20,
}


async def test_texts_are_printed_and_nothing_else_is(server, capsys):
    lost = {"id": "t2", "state": "FAULTED"}
    assert await done(server, TEXTS, job("TEXT", WRITTEN, lost), prompt="On") == 1
    printed = capsys.readouterr()
    assert printed.out == " on it went\nt2  no text: FAULTED\n"
    assert "20 tokens, m on w" in printed.err
    assert "cost 3.00 kudos" in printed.err
    assert server.inputs("quoteTextJob") == [{"prompt": "On"}]


async def test_texts_as_json(server, capsys):
    assert await done(server, TEXTS, job("TEXT", WRITTEN), as_json=True, prompt="On") == 0
    (text,) = json.loads(capsys.readouterr().out)["texts"]
    assert text == {
        "generation": "t1",
        "state": "DONE",
        "worker": "w",
        "seed": "7",
        "model": "m",
        "tokens": 20,
        "text": " on it went",
    }


def told(form: str, result: dict | None, **more: object) -> dict:
    return {
        "id": form.lower(),
        "state": "DONE" if result else "FAULTED",
        "form": form,
        "result": result,
        **more,
    }


async def test_what_was_told_is_printed_and_files_are_saved(server, tmp_path, capsys):
    server.pictures["larger"] = b"larger"
    link = {"imageUrl": f"{server.url}/store/larger", "etag": hashlib.md5(b"larger").hexdigest()}
    forms = (
        told("CAPTION", {"text": "a cat"}, reused=True),
        told("NSFW", {"nsfw": False}),
        told("INTERROGATION", {"keywords": [{"keyword": "cat", "confidence": 0.9}]}),
        told("AESTHETIC", {"score": 4.5}),
        told("PALETTE", {"colours": [{"hex": "#102030", "share": 0.25}]}),
        told("VECTORIZE", {"svg": "<svg></svg>"}),
        told("NMKD_SIAX", link),
    )
    state = job("INTERROGATION", *forms)
    assert await done(server, INTERROGATIONS, state, out=tmp_path, sources={"source": "https://a/b.png"}) == 0
    assert capsys.readouterr().out.splitlines() == [
        "CAPTION: a cat (told before)",
        "NSFW: safe for work",
        "INTERROGATION: cat 90%",
        "AESTHETIC: 4.5 of 10",
        "PALETTE: #102030 25%",
        f"VECTORIZE: {tmp_path / 'vectorize.svg'}",
        f"NMKD_SIAX: {tmp_path / 'nmkd_siax.webp'}",
    ]
    assert (tmp_path / "vectorize.svg").read_text() == "<svg></svg>"
    assert (tmp_path / "nmkd_siax.webp").read_bytes() == b"larger"
    assert server.inputs("quoteInterrogationJob") == [{"source": {"url": "https://a/b.png"}}]


async def test_forms_as_json_without_links_and_a_file_that_is_missing_is_no_success(
    server, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(pictures, "PAUSES", Backoff(first=0.01))
    state = job("INTERROGATION", told("GFPGAN", {"imageUrl": f"{server.url}/store/none", "etag": "e"}))
    assert await done(server, INTERROGATIONS, state, as_json=True, out=tmp_path) == 1
    (form,) = json.loads(capsys.readouterr().out)["forms"]
    assert (form["path"], form["result"]) == (None, {"etag": "e"})


async def test_a_picture_is_uploaded_first(server, tmp_path):
    (tmp_path / "cat.jpg").write_bytes(b"cat")
    server.on("createUpload", {"upload": {"id": "u1", "url": f"{server.url}/store/u1"}})
    state = job("INTERROGATION", told("NSFW", {"nsfw": True}))
    assert await done(server, INTERROGATIONS, state, sources={"source": str(tmp_path / "cat.jpg")}) == 0
    assert server.pictures["u1"] == b"cat"
    assert server.inputs("quoteInterrogationJob") == [{"source": {"uploadId": "u1"}}]


@pytest.fixture
def orders(monkeypatch):
    """What the commands would have done."""
    taken = []

    async def carry_out(order, _report):
        taken.append(order)
        return 0

    for module in (write, interrogate):
        monkeypatch.setattr(module, "carry_out", carry_out)
    return taken


CHOICES = [
    "--worker",
    "a",
    "--deny",
    "--trusted-workers",
    "--no-slow-workers",
    "--extra-slow-workers",
    "--nsfw",
    "--max-kudos",
    "5.00",
]


def coerced(kind: str, value: object) -> object:
    return coerce_input_value(value, SCHEMA.type_map[kind])  # type: ignore[arg-type]


def test_every_option_of_a_text_is_one_of_the_schema(orders):
    shaped = [
        "--model",
        "m",
        "--n",
        "2",
        "--length",
        "99",
        "--context",
        "999",
        "--temperature",
        "0.5",
        "--top-p",
        "0.9",
        "--top-k",
        "40",
        "--min-p",
        "0.1",
        "--rep-pen",
        "1.1",
        "--stop",
        "END",
        "--singleline",
        "--whole-sentences",
        "--downgrade",
    ]
    assert CliRunner().invoke(write_command, ["-", *shaped, *CHOICES], input="from stdin").exit_code == 0
    wish = orders[0].wish
    assert wish["prompt"] == "from stdin"
    assert (len(wish), len(wish["params"])) == (11, 11)
    coerced("SubmitTextJobInput", wish)
    assert text_wish("p", singleline=None, stop=()) == {"prompt": "p"}


def test_every_option_of_an_interrogation_is_one_of_the_schema(orders):
    forms = [word for form in FORMS for word in ("--form", form.lower())]
    assert CliRunner().invoke(interrogate_command, ["cat.png", *forms, "--no-reuse", *CHOICES]).exit_code == 0
    order = orders[0]
    assert (order.sources, order.wish["reuse"]) == ({"source": "cat.png"}, False)
    coerced("SubmitInterrogationJobInput", {**order.wish, "source": {"uploadId": "1"}})
    assert set(FORMS) == set(SCHEMA.type_map["InterrogationForm"].values)  # type: ignore[attr-defined]
    assert set(POST_PROCESSORS) < set(FORMS)


def test_a_caption_is_told_if_nothing_is_said(orders):
    assert CliRunner().invoke(interrogate_command, ["cat.png"]).exit_code == 0
    assert orders[0].wish == {"forms": ["CAPTION"]}


@pytest.mark.parametrize("command", [write_command, interrogate_command])
def test_an_address_that_is_none_is_a_mistake(command):
    assert CliRunner().invoke(command, ["x", "--url", "ftp://x"]).exit_code == 2


def test_what_is_not_safe_is_said():
    assert in_words(FormResult(nsfw=True)) == "not safe for work"
