"""What somebody writes or holds secret stays out of the log, out of exports, out of every process log and bucket.

Marker words are sent in every place where a client or operator may write; then everything that is kept is searched.
"""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from minio import Minio
from pyarrow import parquet

from tests.acceptance.horde import GRANT_REASON, Horde, User, final, registration, submit, unique, upload
from tests.acceptance.processes import eventually, run_cli
from tests.acceptance.wires import Api, Refusal
from tests.stranger import OUTSIDE


def marker(place: str) -> str:
    """A word that is found nowhere else."""
    return f"marker{place}{uuid4().hex}"


class Secrets:
    """Markers by place."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}

    def __call__(self, place: str, most: int | None = None) -> str:
        word = marker(place)[:most]
        self.words[place] = word
        return word


@pytest.fixture(scope="module")
def secrets(horde: Horde) -> Secrets:
    """Everything a client may write was written."""
    mark = Secrets()
    mark.words["grantreason"] = GRANT_REASON
    mark.words["bankkey"] = horde.bank.key if horde.bank else ""
    model = unique("model")
    name = mark("username", 30)
    answer = registration(horde.api(**{"Client-Agent": f"x:1:{mark('clientagent')}"}), name, str(uuid4()))
    mark.words["apikey"] = answer["apiKey"]
    alice = User(
        answer["user"]["id"], answer["user"]["username"], answer["apiKey"], Api(horde.url, answer["apiKey"])
    )
    bob = horde.register("bob")
    mark.words["bobskey"] = bob.key
    assert horde.bank is not None
    horde.bank.transfer(alice.alias, "100", mark("transferkey"))
    horde.promote(alice, "service")

    def ask(**given: Any) -> Any:
        job = alice.submit(
            f"a {mark('prompt')} at night",
            negativePrompt=mark("negative"),
            models=[model],
            params={
                "seed": mark("seed"),
                "n": 2,
                "loras": [{"name": mark("lora"), "injectTrigger": mark("trigger", 30)}],
                "tis": [{"name": mark("ti")}],
                "workflow": "QR_CODE",
                "extraTexts": [{"text": mark("qrtext"), "reference": "qr_code"}],
            },
            idempotencyKey=mark("jobkey"),
            **given,
        )
        mark.words["accesskey"] = job.access_key
        return job

    ask(source={"url": f"http://{OUTSIDE}:9/{mark('sourceurl')}"})
    hook = {
        "url": f"https://{OUTSIDE}:9/{mark('webhookurl')}",
        "secret": "whsec_" + mark("webhooksecret") + "A",
    }
    alice.submit(models=[model], webhook=hook).cancel()
    job = ask(proxiedAccount=mark("proxiedaccount"))
    told_of_teams_and_workers(mark, horde, bob, model)
    able = {"allowLora": True, "allowControlnet": True, "features": ["TEXTUAL_INVERSION", "QR_CODE"]}
    worker = bob.worker(model, name=mark("workername"), blacklist=[mark("blacklist", 30)], **able)
    taken = worker.take(bridgeAgent=f"tool:1:{mark('contact')}", idempotencyKey=mark("popkey"))
    for task in taken["generations"]:
        upload(task)
    result = {
        "generationId": taken["generations"][0]["id"],
        "state": "OK",
        "metadata": {"said": mark("metadata")},
        "text": mark("text"),
        "form": {"said": mark("form")},
    }
    worker.report(taken["leaseId"], result, idempotencyKey=mark("resultkey"))
    worker.maintenance(True, mark("maintenance"))
    with pytest.raises(Refusal):
        worker.pop()
    worker.maintenance(False)
    while job.now()["state"] in ("WAITING", "PROCESSING"):
        worker.deliver(worker.take())  # jobs for any model, left waiting by other tests, may come first
    assert final(job)["state"] == "DONE"
    written(mark, horde, alice, model)
    refusals(horde, mark, alice)
    contested(mark, horde, model)
    return mark


def told_of_teams_and_workers(mark: Secrets, horde: Horde, bob: User, model: str) -> None:
    """What owners say of their workers and teams, and what is said to workers."""
    steered = bob.worker(model, name=mark("steeredworker"), blacklist=["night"])
    steered.pop()
    given = {"worker": steered.name, "description": mark("description")}
    bob.api.call("updateWorker", "... on UpdateWorkerSuccess { position }", given)
    told = {"worker": steered.name, "message": mark("message")}
    bob.api.call("sendWorkerMessage", "... on SendWorkerMessageSuccess { position }", told)
    founder = horde.promote(horde.register("founder"), "trusted")
    team = {"name": mark("teamname"), "info": mark("teaminfo")}
    founder.api.call("createTeam", "... on CreateTeamSuccess { position }", team)


def written(mark: Secrets, horde: Horde, alice: User, model: str) -> None:
    """A text job: what goes in, what comes out, what it is told by."""
    api = horde.register("scribe").api
    given = {
        "prompt": mark("textprompt"),
        "models": [model],
        "params": {"stopSequence": [mark("stopsequence")]},
    }
    alice.api.call("submitTextJob", "... on SubmitTextJobSuccess { position }", given)
    asked = {
        "workerName": mark("scribename"),
        "text": {"models": [model], "blacklist": [mark("textblacklist", 30)]},
    }
    taken = api.call("popJob", "... on TextAssignment { leaseId generations { id } }", asked)
    (task,) = taken["generations"]
    result = {"generationId": task["id"], "state": "OK", "text": mark("writtentext")}
    reported = {"leaseId": taken["leaseId"], "results": [result]}
    api.call("submitResult", "... on SubmitResultSuccess { position }", reported)


def contested(mark: Secrets, horde: Horde, model: str) -> None:
    """Many want the same name at the same moment: the database refuses all but one, and must not tell its log."""
    name = mark("contestedname")
    owners = [horde.register("owner") for _ in range(8)]
    together = threading.Barrier(len(owners))

    def want(owner: User) -> bool:
        together.wait(20)
        try:
            owner.worker(model, name=name).pop()
        except Refusal:
            return False
        return True

    with ThreadPoolExecutor(len(owners)) as pool:
        assert sum(pool.map(want, owners)) == 1


def refusals(horde: Horde, mark: Secrets, alice: User) -> None:
    """What is refused must not be remembered either."""
    for given in (
        {"prompt": mark("refusedprompt") + "\0"},
        {"prompt": "x", "models": [mark("refusedmodel") + "\n"]},
        {"prompt": mark("toolarge"), "params": {"width": 3072, "height": 3072, "steps": 500}},
        {"prompt": mark("overpriced"), "maxKudos": "0.01"},
        {"prompt": "x", "source": {"url": f"https://10.0.0.1/{mark('refusedurl')}"}},
    ):
        with pytest.raises(Refusal):
            submit(alice.api, **given)
    with pytest.raises(Refusal):
        registration(horde.anonymous, mark("refusedname") + "#", None)
    with pytest.raises(Refusal):
        alice.transfer(mark("nobody") + "#5", "1")
    horde.api(mark("unknownkey")).post("{ viewer { id } }")
    horde.anonymous.post(f"{{ {mark('unknownfield')} }}")
    horde.anonymous.post(f'{{ job(id: "{mark("literal")}") {{ id }} }}')
    horde.anonymous.post("query($v: Int) { viewer { id } }", {"v": mark("wrongvariable")})
    horde.anonymous.raw(b'{"query": "' + mark("brokenjson").encode())
    with horde.api(mark("socketkey")).websocket("subscription { events { position } }") as live:
        assert next(live)["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def found_in(text: str, secrets: Secrets, *but: str) -> list[str]:
    lowered = text.lower()
    return [place for place, word in secrets.words.items() if place not in but and word.lower() in lowered]


def tables(connection: psycopg.Connection[Any], schemas: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every table of some schemas as text."""
    names = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s)", (list(schemas),)
    ).fetchall()
    assert names
    for schema, name in names:
        with connection.cursor().copy(
            f'COPY (SELECT to_jsonb(t) FROM "{schema}"."{name}" AS t) TO STDOUT'
        ) as rows:  # type: ignore[arg-type]
            yield f"{schema}.{name}", b"".join(bytes(row) for row in rows).decode()


@pytest.fixture
def owner(horde: Horde) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(horde.variables["HOARD_MIGRATE_URL"], autocommit=True) as connection:
        yield connection


def test_the_search_finds_what_is_there(
    horde: Horde, secrets: Secrets, owner: psycopg.Connection[Any]
) -> None:
    """The vault does keep words, so a search that finds nothing anywhere would be worth nothing."""
    words = {place for _, text in tables(owner, ("vault",)) for place in found_in(text, secrets)}
    assert {
        "username",
        "prompt",
        "negative",
        "metadata",
        "workername",
        "grantreason",
        "contestedname",
        "lora",
        "ti",
        "qrtext",
        "description",
        "message",
        "teamname",
        "teaminfo",
    } <= words


def test_no_word_of_a_client_is_in_the_log_or_in_projections(
    horde: Horde, secrets: Secrets, owner: psycopg.Connection[Any]
) -> None:
    schemas = [
        row[0]
        for row in owner.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information'")
    ]
    assert {"log", "projections", "vault"} <= set(schemas)
    searched = 0
    for name, text in tables(owner, tuple(schema for schema in schemas if schema not in ("vault", "public"))):
        assert not found_in(text, secrets), name
        searched += len(text)
    assert searched > 10_000


def test_no_secret_is_in_the_vault_either(secrets: Secrets, owner: psycopg.Connection[Any]) -> None:
    """Keys are kept as hashes; what is never needed again is not kept at all."""
    kept = {place for _, text in tables(owner, ("vault",)) for place in found_in(text, secrets)}
    never = {
        "apikey",
        "bobskey",
        "bankkey",
        "accesskey",
        "contact",
        "clientagent",
        "blacklist",
        "text",
        "form",
        "unknownkey",
    }
    assert not kept & (never | {place for place in secrets.words if place.startswith("refused")})


def test_an_exported_log_holds_no_word_of_a_client(horde: Horde, secrets: Secrets, tmp_path: Path) -> None:
    run_cli("log", "export", "--out", str(tmp_path / "copy"), variables=horde.variables)
    files = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert any(path.suffix == ".parquet" for path in files)
    for path in files:
        text = str(parquet.read_table(path).to_pylist()) if path.suffix == ".parquet" else path.read_text()
        assert not found_in(text, secrets), path.name


def test_the_public_api_tells_no_word_of_a_client(horde: Horde, secrets: Secrets) -> None:
    assert not found_in(json.dumps(horde.events()), secrets)


def test_no_bucket_holds_a_word_of_what_is_not_shared(horde: Horde, secrets: Secrets) -> None:
    store = storage(horde)
    seen = 0
    for bucket in store.list_buckets():
        for item in store.list_objects(bucket.name, recursive=True):
            assert item.object_name is not None
            response = store.get_object(bucket.name, item.object_name)
            try:
                content = response.read()
            finally:
                response.close()
                response.release_conn()
            seen += 1
            told = f"{item.object_name} {item.metadata} {content.decode('latin-1')}"
            assert not found_in(told, secrets), f"{bucket.name}/{item.object_name}"
    assert seen
    store._http.clear()  # type: ignore[attr-defined]


def storage(horde: Horde) -> Minio:
    """The buckets, with the operator's key."""
    return Minio(
        horde.variables["HOARD_S3_URL"].partition("://")[2],
        horde.variables["HOARD_S3_ACCESS_KEY"],
        horde.variables["HOARD_S3_SECRET_KEY"],
        region=horde.variables["HOARD_S3_REGION"],
        secure=False,
    )


def test_a_shared_prompt_is_in_its_json_and_nowhere_else(
    horde: Horde, alice: User, bob: User, owner: psycopg.Connection[Any]
) -> None:
    shared = Secrets()
    model = unique("model")
    job = alice.submit(f"a {shared('prompt')}", negativePrompt=shared("negative"), models=[model], share=True)
    bob.worker(model).serve()
    generation = job.job["generations"][0]["id"]
    eventually(lambda: job.now()["generations"][0]["sha256"], 20, "the picture is shared")
    store = storage(horde)
    for bucket in store.list_buckets():
        for item in store.list_objects(bucket.name, recursive=True):
            response = store.get_object(bucket.name, str(item.object_name))
            try:
                content = response.read().decode("latin-1")
            finally:
                response.close()
                response.release_conn()
            there = (bucket.name, item.object_name) == ("shared", f"{generation}.json")
            assert bool(found_in(content, shared)) is there, item.object_name
    store._http.clear()  # type: ignore[attr-defined]
    for name, text in tables(owner, ("log", "projections")):
        assert not found_in(text, shared), name
    for path in logs(horde):
        assert not found_in(path.read_text(errors="replace"), shared), path.name


def logs(horde: Horde) -> list[Path]:
    """Whatever the processes and servers wrote to files of text."""
    written = [*horde.log_folder.glob("*.log"), *(horde.folder / "logs").glob("*")]
    written += horde.folder.rglob("*.log")
    return sorted({path for path in written if path.is_file()})


def test_no_process_log_holds_a_word_a_key_or_an_address(horde: Horde, secrets: Secrets) -> None:
    written = logs(horde)
    assert {"api.log", "relay.log", "actors.log"} <= {path.name for path in written}
    assert any("postgres" in path.name for path in written)
    for path in written:
        text = path.read_text(errors="replace")
        assert not found_in(text, secrets), path.name
    for name in ("HOARD_PEPPER", "HOARD_S3_SECRET_KEY"):
        assert all(horde.variables[name] not in path.read_text(errors="replace") for path in written), name
    assert "127.0.0.1:" not in (horde.log_folder / "api.log").read_text().replace("http://127.0.0.1:", "")
