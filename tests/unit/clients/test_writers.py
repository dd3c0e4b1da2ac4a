"""The writers: procedural sentences, what is asked of text servers, and how texts are laid out."""

import asyncio
import json

import pytest
from aiohttp import web

from clients.worker.backends import BackendError
from clients.worker.writers import TextTask, TextWish
from clients.worker.writers.formatting import formatted
from clients.worker.writers.koboldcpp import KoboldCppWriter
from clients.worker.writers.openai import OpenAIWriter
from clients.worker.writers.procedural import ProceduralWriter, sentences

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class TextServer:
    """Answers by path, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}
        self.asked: list[tuple[str, dict]] = []
        self.headers: list[dict[str, str]] = []
        self.waiting: asyncio.Event | None = None
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else {}
        self.asked.append((request.path, body))
        self.headers.append(dict(request.headers))
        if self.waiting is not None and request.path.endswith("generate"):
            await self.waiting.wait()
        answer = self.answers.get(request.path, 404)
        if isinstance(answer, int):
            return web.Response(status=answer, text="the secret prompt is quoted here")
        return web.Response(text=answer if isinstance(answer, str) else json.dumps(answer))

    def body(self, path: str) -> dict:
        return next(body for asked, body in self.asked if asked == path)


@pytest.fixture
async def server():
    server = TextServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


def task(seed: str = "7", **payload: object) -> TextTask:
    wish = TextWish.parse({"prompt": "a secret garden", **payload})
    return TextTask(generation_id="g1", model="m", seed=seed, wish=wish)


# --- procedural


async def test_the_procedural_writer_is_faithful_to_seed_and_length():
    writer = ProceduralWriter()
    text = await writer.write(task(prompt="The astronomer found a telescope", max_length=100))
    assert text == await writer.write(task(prompt="The astronomer found a telescope", max_length=100))
    assert text != await writer.write(
        task(seed="8", prompt="The astronomer found a telescope", max_length=100)
    )
    assert 200 < len(text) <= 400
    assert "astronomer" in text
    assert "telescope" in text
    assert text.rstrip().endswith((".",))
    assert "no language model" in writer.confession


@pytest.mark.parametrize("prompt", ["", "a b c", "漢字ばかり", "fox", "the " * 50])
@pytest.mark.parametrize("length", [1, 16, 4096])
def test_it_writes_something_from_any_prompt(prompt, length):
    text = sentences(TextWish(prompt=prompt, max_length=length), "1")
    assert 0 < len(text) <= length * 4


# --- layout


@pytest.mark.parametrize(
    ("text", "wish", "result"),
    [
        ("one. two", {}, "one. two"),
        ("one END two STOP", {"stop_sequence": ("STOP", "END")}, "one "),
        ("one", {"stop_sequence": ("",)}, "one"),
        ("\nfirst\nsecond", {"singleline": True}, "first"),
        ('He said "so." And th', {"frmttriminc": True}, 'He said "so."'),
        ("no end", {"frmttriminc": True}, "no end"),
        ("a\n\n\nb\nc", {"frmtrmblln": True}, "a\nb\nc"),
        ("a#b <c> {d}", {"frmtrmspch": True}, "ab c d"),
        ("went on", {"frmtadsnsp": True, "prompt": "He"}, " went on"),
        ("went on", {"frmtadsnsp": True, "prompt": "He "}, "went on"),
        (" went on", {"frmtadsnsp": True, "prompt": "He"}, " went on"),
    ],
)
def test_a_text_is_laid_out_as_asked(text, wish, result):
    assert formatted(text, TextWish(**wish)) == result


@pytest.mark.parametrize("payload", [{"max_length": "long"}, {"max_length": 0}, {"stop_sequence": "x"}])
def test_a_payload_that_makes_no_sense_is_a_fault(payload):
    with pytest.raises(BackendError) as caught:
        TextWish.parse({"prompt": "a secret garden", **payload})
    assert "secret garden" not in str(caught.value)


# --- KoboldCpp


async def test_koboldcpp_is_asked_in_its_own_names_and_only_for_what_was_wished(server):
    server.answers["/api/v1/generate"] = {"results": [{"text": " grows"}]}
    writer = KoboldCppWriter(server.url)
    wish = {
        "max_length": 50,
        "temperature": 0.5,
        "sampler_order": [6, 0, 1, 2, 3, 4, 5],
        "stop_sequence": ["\n"],
    }
    assert await writer.write(task(**wish, frmttriminc=True, unknown=1)) == " grows"
    await writer.close()
    assert server.body("/api/v1/generate") == {
        "prompt": "a secret garden",
        "max_context_length": 2048,
        **wish,
        "sampler_seed": 7,
        "genkey": "HOARDg1",
        "quiet": True,
    }


async def test_what_koboldcpp_has_loaded_is_what_is_offered(server):
    server.answers |= {
        "/api/v1/model": {"result": "koboldcpp/tiny"},
        "/api/extra/true_max_context_length": {"value": 4096},
    }
    writer = KoboldCppWriter(server.url)
    await writer.prepare()
    await writer.close()
    assert (writer.models, writer.widest) == (("koboldcpp/tiny",), 4096)


async def test_a_text_that_nobody_waits_for_is_aborted_at_koboldcpp(server):
    server.waiting = asyncio.Event()
    server.answers["/api/extra/abort"] = {"success": "true"}
    writer = KoboldCppWriter(server.url)
    writing = asyncio.create_task(writer.write(task()))
    async with asyncio.timeout(5):
        while not server.asked:
            await asyncio.sleep(0.005)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    server.waiting.set()
    await writer.close()
    assert server.body("/api/extra/abort") == {"genkey": "HOARDg1"}


# --- OpenAI


async def test_an_openai_server_is_asked_for_a_completion_with_its_first_model(server):
    server.answers |= {
        "/v1/models": {"data": [{"id": "tiny"}, {"id": "large"}]},
        "/v1/completions": {"choices": [{"text": " grows"}]},
    }
    writer = OpenAIWriter(f"{server.url}/v1/", key="k")
    await writer.prepare()
    assert writer.models == ("tiny",)
    stops = ["a", "b", "c", "d", "e"]
    assert await writer.write(task(max_length=9, top_k=40, rep_pen=1.1, stop_sequence=stops)) == " grows"
    await writer.close()
    assert server.body("/v1/completions") == {
        "model": "tiny",
        "prompt": "a secret garden",
        "max_tokens": 9,
        "seed": 7,
        "stop": stops[:4],
        "top_k": 40,
        "repetition_penalty": 1.1,
        "repeat_penalty": 1.1,
    }
    assert all(headers["Authorization"] == "Bearer k" for headers in server.headers)


async def test_openais_own_server_is_sent_only_what_it_knows_and_prompts_are_cut_to_the_context(server):
    server.answers["/v1/completions"] = {"choices": [{"text": ""}]}
    writer = OpenAIWriter(server.url, model="gpt", samplers=False)
    await writer.prepare()
    wish = {"max_length": 20, "max_context_length": 80, "top_k": 3, "top_p": 0.5}
    assert await writer.write(task(prompt="x" * 500 + "end", **wish)) == ""
    await writer.close()
    body = server.body("/v1/completions")
    assert (len(body["prompt"]), body["prompt"][-3:]) == (240, "end")
    assert (body["top_p"], "top_k" in body) == (0.5, False)


# --- both


@pytest.mark.parametrize("answer", [500, 404, "no JSON", {}, {"results": []}, {"choices": [{}]}, []])
@pytest.mark.parametrize("kind", [KoboldCppWriter, OpenAIWriter])
async def test_a_server_that_writes_nothing_is_a_fault_that_quotes_nothing(server, kind, answer):
    server.answers |= {"/api/v1/generate": answer, "/v1/completions": answer}
    writer = kind(server.url)
    with pytest.raises(BackendError) as caught:
        await writer.write(task())
    await writer.close()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", [KoboldCppWriter, OpenAIWriter])
async def test_a_server_that_is_not_there_is_a_fault_and_an_address_that_is_none_is_told(kind):
    writer = kind("http://127.0.0.1:9")
    with pytest.raises(BackendError, match="did not answer"):
        await writer.prepare()
    await writer.close()
    with pytest.raises(ValueError, match="not an http"):
        kind("nowhere")
