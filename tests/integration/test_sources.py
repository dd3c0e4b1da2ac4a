"""Sources on a real log, vault and storage: uploads checked and copied, URLs fetched, jobs queued or given up.

"Outside" is 127.0.0.2, which the settings open. Look next: `tests/hostile/test_sources.py` for what servers may do.
"""

import asyncio
import json
import signal
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from app.accounts.authentication import Viewer
from app.actors_main import make_fetcher, make_pool
from app.jobs.decider import CancelJob
from app.main import make_services, run_services
from app.platform.broker import make_sender, send
from app.platform.commands import Rejection
from app.platform.graphql.context import RequestContext
from app.platform.objects import Missing
from app.platform.services import Services
from app.platform.settings import Settings
from app.platform.sources import GivenSource, ResolvedSource, fetching, resolve
from app.platform.vault import JobSource, SourceRole
from app.platform.writer import Writer
from app.relay.leader import lead
from app.relay.reactions import Reactions
from app.relay.retention import Retention
from app.schema import schema
from app.sources import actors
from app.sources.fetching import OF_ONE_REQUESTER, Fetcher
from events.base import ANONYMOUS
from events.jobs import ImageJobSubmitted, SourceProcessing
from projections.queue import ALLOWED_BEFORE
from tests.acceptance.processes import Process
from tests.factories import capabilities, check_in, pop, register, run, submit
from tests.gallery import ALL_RULES, Gallery, eventually, picture
from tests.hostile.test_uploads import png
from tests.stranger import OUTSIDE, Says, Stranger, answer

MEGABYTE = 1024 * 1024
UPLOAD = """mutation($given: CreateUploadInput!) { createUpload(input: $given) { __typename
  ... on CreateUploadSuccess { upload { id url expiresAt maxBytes } }
  ... on UserError { code message path } } }"""
VIEW = "query($id: ID!) { job(id: $id) { state queuePosition ... on ImageJob { sourceFault } } }"
LINKS = "sourceImageUrl sourceMaskUrl extraSources { url strength }"
LIVE = f"{{ liveAssignments {{ ... on ImageAssignment {{ leaseId sourceProcessing {LINKS} }} }} }}"
EXTEND = f"""mutation($given: ExtendLeaseInput!) {{ extendLease(input: $given) {{ __typename
  ... on ExtendLeaseSuccess {{ {LINKS} }} }} }}"""


ABLE = capabilities(allows=(*ALLOWED_BEFORE, "many_steps", "img2img"))


class Atelier(Gallery):
    """A realm with jobs that are drawn from sources."""

    def __init__(self, settings: Settings, writer: Writer) -> None:
        super().__init__(settings, writer)
        run(writer, check_in(self.worker, self.owner, ABLE))
        self.before: set[str] = set()
        self.before.update(self.kept())

    def ask(
        self, *sources: tuple[SourceRole, str, str], alpha: bool = False, **wishes: Any
    ) -> tuple[UUID, int]:
        """Submit a job with (role, key, url) of each of its sources: the job, and the position of its submission."""
        plain = submit(wishes.pop("requester", self.requester), source_processing=SourceProcessing.IMG2IMG)
        rows = tuple(
            JobSource(plain.job, role, ordinal, 0.5, key, url, alpha)
            for ordinal, (role, key, url) in enumerate(sources)
        )
        payload = json.dumps({"source_processing": "img2img"})
        run(self.writer, msgspec.structs.replace(plain, sources=rows, payload=payload))
        with psycopg.connect(self.settings.database_url) as connection:
            row = connection.execute(
                "SELECT position FROM log.event WHERE stream = %s AND type = %s",
                (f"job-{plain.job}", ImageJobSubmitted.TYPE),
            ).fetchone()
        assert row is not None
        return plain.job, row[0]

    def by_url(self, *urls: str, **wishes: Any) -> tuple[UUID, int]:
        return self.ask(*((SourceRole.EXTRA, "", url) for url in urls), **wishes)

    def rows(self, job: UUID) -> list[tuple[str, str]]:
        """(key, url) of a job's sources, in the vault."""
        with psycopg.connect(self.settings.database_url) as connection:
            return connection.execute(
                "SELECT key, url FROM vault.source WHERE job = %s ORDER BY ordinal", (job,)
            ).fetchall()

    def row(self, job: UUID) -> dict[str, Any]:
        """The job as it stands."""
        with psycopg.connect(self.settings.database_url) as connection:
            found = connection.execute(
                "SELECT to_jsonb(j) FROM projections.jobs AS j WHERE id = %s", (job,)
            ).fetchone()
        assert found is not None
        return found[0]  # type: ignore[no-any-return]

    def facts(self, job: UUID) -> list[str]:
        """What happened to a job, by the last part of each type."""
        with psycopg.connect(self.settings.database_url) as connection:
            rows = connection.execute(
                "SELECT type FROM log.event WHERE stream = %s ORDER BY position", (f"job-{job}",)
            )
            return [name.rpartition(".")[2] for (name,) in rows]

    def kept(self) -> list[str]:
        """The objects of this test's jobs in the bucket of sources, which all tests of a process share."""
        there = (entry.key for entry in self.objects.entries(self.settings.bucket_sources))
        return [key for key in there if key.startswith("jobs/") and key not in self.before]

    def ended(self, job: UUID) -> Callable[[], bool]:
        return lambda: not self.row(job)["fetching"] or self.row(job)["ended_at"] is not None

    @contextmanager
    def fetcher(self, **parts: Any) -> Iterator[Fetcher]:
        """The part of the actors' process that fetches; `parts` replace its own, by their private names."""
        with make_pool(self.settings) as pool:
            made = make_fetcher(self.settings, pool, self.writer)
            made._pauses = (0.05, 0.05)
            for name, part in parts.items():
                setattr(made, f"_{name}", part)
            made.start()
            try:
                yield made
            finally:
                made.stop()

    def fetch(self, job: UUID, position: int, **parts: Any) -> None:
        """Fetch until it is settled."""
        with self.fetcher(**parts) as fetcher:
            fetcher.begin(position)
            eventually(self.ended(job), 20, "settled")
            eventually(lambda: not fetcher._tasks, 5, "nothing more is done")


@pytest.fixture
def atelier(settings: Settings, start_writer: Callable[..., Writer]) -> Atelier:
    own = msgspec.structs.replace(settings, source_networks=f"{OUTSIDE}/32")
    return Atelier(own, start_writer(rules=ALL_RULES))


def served(atelier: Atelier, job: UUID) -> bool:
    """Whether the job is what a worker gets now."""
    outcome = run(atelier.writer, pop(atelier.worker, atelier.owner, ABLE))
    return outcome.result.lease is not None and "GenerationsLeased" in atelier.facts(job)


def test_what_a_url_leads_to_is_stored_and_the_job_is_queued(atelier: Atelier):
    first, second = picture(64, 64), picture(64, 64, kind="PNG")
    with Stranger(a=answer(first), b=answer(second)) as stranger:
        job, position = atelier.by_url(stranger.url("a?secret-word"), stranger.url("b"))
        assert not served(atelier, job)
        atelier.fetch(job, position)
    (key, url), (other, gone) = atelier.rows(job)
    assert (url, gone) == ("", "")
    bucket = atelier.settings.bucket_sources
    assert [atelier.objects.get(bucket, name) for name in (key, other)] == [first, second]
    assert atelier.facts(job) == ["ImageJobSubmitted", "HoldPlaced", "SourcesFetched"]
    assert served(atelier, job)
    with psycopg.connect(atelier.settings.database_url) as connection:
        everything = connection.execute("SELECT string_agg(data || metadata, '') FROM log.event").fetchone()
    assert everything is not None
    assert not any(word in everything[0] for word in (OUTSIDE, "secret-word", key))


def test_a_source_that_cannot_be_had_ends_the_job_and_leaves_nothing(atelier: Atelier):
    with Stranger(a=answer(picture(64, 64)), page=answer(b"<html>" + bytes(50))) as stranger:
        job, position = atelier.by_url(stranger.url("a"), stranger.url("page"))
        assert atelier.row(job)["held"] > 0
        atelier.fetch(job, position)
    assert atelier.facts(job)[2:] == ["HoldReleased", "SourcesRefused", "JobEnded"]
    row = atelier.row(job)
    assert (row["state"], row["source_fault"], row["held"]) == ("FAULTED", "NO_IMAGE", 0)
    assert atelier.kept() == []
    assert not served(atelier, job)


def test_what_fails_for_a_moment_is_tried_again_and_what_fails_for_good_is_not(atelier: Atelier):
    turns = iter([answer(status=503), b"", answer(picture(64, 64))])

    def moody() -> Says:
        yield next(turns)

    with Stranger(moody=moody, broken=answer(status=500), gone=answer(status=404)) as stranger:
        found, at = atelier.by_url(stranger.url("moody"))
        atelier.fetch(found, at)
        assert atelier.row(found)["fetching"] is False
        assert stranger.paths() == ["/moody"] * 3
        for name, attempts in (("broken", 3), ("gone", 1)):
            job, position = atelier.by_url(stranger.url(name))
            atelier.fetch(job, position)
            assert atelier.row(job)["source_fault"] == "UNREACHABLE"
            assert stranger.paths().count(f"/{name}") == attempts


def test_a_source_to_be_painted_in_must_say_where(atelier: Atelier):
    with Stranger(a=answer(picture(64, 64))) as stranger:
        given = (SourceRole.SOURCE, "", stranger.url("a"))
        for alpha, fault in ((True, "NO_MASK"), (False, None)):
            job, position = atelier.ask(given, alpha=alpha)
            atelier.fetch(job, position)
            assert atelier.row(job)["source_fault"] == fault


@contextmanager
def waiting(path: str, data: bytes) -> Iterator[tuple[Stranger, threading.Event]]:
    """A stranger that answers only when it is told to."""
    go = threading.Event()

    def page() -> Says:
        go.wait(15)
        yield answer(data)

    with Stranger(**{path: page}) as stranger:
        yield stranger, go
        go.set()


def test_what_was_cancelled_meanwhile_is_let_go(atelier: Atelier):
    with waiting("a", picture(64, 64)) as (stranger, go), atelier.fetcher() as fetcher:
        job, position = atelier.by_url(stranger.url("a"))
        fetcher.begin(position)
        eventually(lambda: stranger.visits, 5, "it is asked for")
        run(atelier.writer, CancelJob(job=job))
        go.set()
        eventually(lambda: not fetcher._tasks, 5, "it is over")
        assert atelier.kept() == []
        assert atelier.facts(job)[-1] == "JobEnded"
        fetcher.begin(position)
        eventually(lambda: not fetcher._tasks, 5, "it is over")
        assert len(stranger.visits) == 1


def test_a_process_that_ends_in_the_midst_leaves_it_to_the_next(atelier: Atelier):
    with waiting("a", picture(64, 64)) as (stranger, go):
        job, position = atelier.by_url(stranger.url("a"))
        with atelier.fetcher() as fetcher:
            fetcher.begin(position)
            eventually(lambda: stranger.visits, 5, "it is asked for")
        assert atelier.row(job)["fetching"] is True
        go.set()
        atelier.fetch(job, position)
    assert atelier.facts(job).count("SourcesFetched") == 1


def test_of_two_processes_one_settles_it_and_the_other_leaves_nothing(atelier: Atelier):
    with waiting("a", picture(64, 64)) as (stranger, go), atelier.fetcher() as one, atelier.fetcher() as two:
        job, position = atelier.by_url(stranger.url("a"))
        for fetcher in (one, two, one):
            fetcher.begin(position)
        eventually(lambda: len(stranger.visits) == 2, 5, "both ask for it")
        go.set()
        eventually(lambda: not one._tasks and not two._tasks, 5, "both are done")
    assert len(stranger.visits) == 2
    assert atelier.facts(job).count("SourcesFetched") == 1
    assert [key for key, _ in atelier.rows(job)] == atelier.kept()


def test_killed_in_the_midst_it_is_fetched_by_the_next_process(atelier: Atelier, tmp_path: Path):
    """`kill -9`, and then the message that the relay sends again."""
    settings = msgspec.structs.replace(
        atelier.settings, redis_url=f"{atelier.settings.redis_url.rpartition('/')[0]}/7"
    )
    broker = make_sender(settings)
    with waiting("a", picture(64, 64)) as (stranger, go):
        job, position = atelier.by_url(stranger.url("a"))
        for number, end in ((1, signal.SIGKILL), (2, signal.SIGTERM)):
            process = Process(tmp_path / f"{number}.log", "actors", "run", variables=settings.to_env())
            send(broker, settings.realm, actors.FETCH_SOURCES, position)
            eventually(lambda wanted=number: len(stranger.visits) == wanted, 30, "it is asked for")
            if end is signal.SIGTERM:
                go.set()
                eventually(atelier.ended(job), 20, "it is queued")
            process.stop(end)
    broker.client.close()
    assert atelier.facts(job).count("SourcesFetched") == 1
    assert [key for key, _ in atelier.rows(job)] == atelier.kept()


class Broken:
    """A writer whose answer is lost, after or before the work."""

    def __init__(self, writer: Writer, *, after: bool) -> None:
        self._writer = writer
        self._after = after

    def execute_sync(self, request: Any) -> Any:
        if self._after:
            self._writer.execute_sync(request)
        raise psycopg.OperationalError


@pytest.mark.parametrize("after", [False, True])
def test_an_answer_that_is_lost_loses_no_source(atelier: Atelier, after: bool):
    with Stranger(a=answer(picture(64, 64))) as stranger:
        job, position = atelier.by_url(stranger.url("a"))
        with atelier.fetcher(writer=Broken(atelier.writer, after=after)) as fetcher:
            fetcher.begin(position)
            eventually(lambda: stranger.visits and not fetcher._tasks, 5, "it broke off")
        atelier.fetch(job, position)
    ((key, url),) = atelier.rows(job)
    assert url == ""
    assert not isinstance(atelier.objects.stat(atelier.settings.bucket_sources, key), Missing)
    assert atelier.facts(job).count("SourcesFetched") == 1


def test_one_requester_s_slow_servers_hold_up_only_its_own_jobs(atelier: Atelier):
    other = register()
    run(atelier.writer, other)
    with waiting("slow", picture(64, 64)) as (stranger, go), atelier.fetcher() as fetcher:
        stranger.pages["/quick"] = answer(picture(64, 64))
        mine = [atelier.by_url(stranger.url("slow")) for _ in range(20)]
        for _, position in mine:
            fetcher.begin(position)
        job, position = atelier.by_url(stranger.url("quick"), requester=other.user)
        fetcher.begin(position)
        eventually(atelier.ended(job), 10, "the other's job is queued")
        assert stranger.paths().count("/slow") == OF_ONE_REQUESTER
        go.set()
        for slow, _ in mine:
            eventually(atelier.ended(slow), 20, "and then the others")
        eventually(lambda: not fetcher._tasks and not fetcher._turns, 5, "nothing is left behind")


def test_the_relay_asks_until_it_is_settled(atelier: Atelier):
    called: list[tuple[str, int]] = []
    stop = threading.Event()
    with (
        Stranger(a=answer(picture(64, 64))) as stranger,
        lead(atelier.settings.database_url, atelier.settings.realm, stop) as term,
    ):
        assert term is not None
        reactions = Reactions(
            term, actors.REACTIONS, lambda actor, position: called.append((actor, position))
        )
        plain = submit(atelier.requester, models=("other",))
        run(atelier.writer, plain)
        fetched, first = atelier.by_url(stranger.url("a"))
        cancelled, second = atelier.by_url(stranger.url("a"))
        while reactions.advance():
            pass
        assert called == [("fetch_sources", first), ("fetch_sources", second)]
        atelier.fetch(fetched, first)
        run(atelier.writer, CancelJob(job=cancelled))
        reactions.advance()
        with psycopg.connect(atelier.settings.database_url) as connection:
            left = connection.execute("SELECT position FROM relay.reaction WHERE completed_by IS NULL")
            assert left.fetchall() == []


def test_positions_that_call_for_nothing_do_nothing(atelier: Atelier):
    with atelier.fetcher() as fetcher:
        for position in (0, 1, 2, 10_000):
            fetcher.begin(position)
        eventually(lambda: not fetcher._tasks, 5, "they are done")


def test_sources_are_forgotten_with_the_words_of_their_job(atelier: Atelier):
    with Stranger(a=answer(picture(64, 64))) as stranger:
        job, position = atelier.by_url(stranger.url("a"))
        unfetched, _ = atelier.by_url(stranger.url("never"))
        atelier.fetch(job, position)
        for each in (job, unfetched):
            run(atelier.writer, CancelJob(job=each))
    assert len(atelier.kept()) == 1
    for after, left in ((7_200, 1), (0, 0)):
        settings = msgspec.structs.replace(atelier.settings, retention_seconds=after)
        retention = Retention(settings, atelier.objects, leading=threading.Event(), stop=threading.Event())
        while retention.step():
            pass
        retention.close()
        assert [len(atelier.rows(each)) for each in (job, unfetched)] == [left, left]
        assert len(atelier.kept()) == left


# Uploads and links, through the API of one process.


class Client:
    """A caller of the API's resolvers."""

    def __init__(self, services: Services, subject: UUID) -> None:
        self.services = services
        self.subject = subject

    async def ask(self, document: str, **variables: Any) -> Any:
        context = RequestContext(
            app=self.services, request_id="", api_key=None, address="", client_agent=None,
            viewer=Viewer(self.subject),
        )  # fmt: skip
        answer = await schema.execute(document, variables, context_value=context)
        assert answer.errors is None, answer.errors
        assert answer.data is not None
        return answer.data

    async def upload(self, data: bytes | None, **given: Any) -> str:
        """Put a file, if there is one; the id of the upload."""
        made = (await self.ask(UPLOAD, given=given))["createUpload"]["upload"]
        if data is not None:
            await asyncio.to_thread(put, made["url"], data)
        return str(made["id"])

    async def resolve(self, *given: GivenSource) -> tuple[ResolvedSource, ...] | Rejection:
        return await resolve(self.services, self.subject, given)

    async def source(self, upload: str, **more: Any) -> ResolvedSource:
        found = await self.resolve(given(upload_id=upload, **more))
        assert isinstance(found, tuple), found
        return found[0]

    async def refusal(self, **more: Any) -> tuple[str, tuple[str, ...]]:
        found = await self.resolve(given(**more))
        assert isinstance(found, Rejection), found
        return found.code, found.path


def given(**more: Any) -> GivenSource:
    return GivenSource(role=more.pop("role", SourceRole.SOURCE), path=("input", "source"), **more)


def put(url: str, data: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, data, method="PUT"), timeout=10) as answered:
        assert answered.status == 200


def got(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answered:
        found: bytes = answered.read()
        assert answered.headers["Content-Type"] == "application/octet-stream"
        return found


@pytest.mark.anyio
async def test_uploads_are_checked_and_copied_to_where_nobody_can_change_them(atelier: Atelier):
    async with run_services(services := make_services(atelier.settings, print)):
        client, other = Client(services, atelier.requester), Client(services, atelier.owner)
        data = picture(64, 64)
        upload = await client.upload(data, contentLength=len(data))
        first, second = await client.source(upload), await client.source(upload)
        assert first.key != second.key
        assert not fetching((first,))
        again = (await client.ask(UPLOAD, given={}))["createUpload"]["upload"]
        assert again["id"] != upload
        assert again["maxBytes"] == 10 * MEGABYTE
        # The link is good for longer than the check: what is put there now is not what was checked.
        made = services.objects.presign_put(
            atelier.settings.bucket_sources, f"uploads/{atelier.requester}/{upload}", 60
        )
        await asyncio.to_thread(put, made, b"<html>")
        bucket = atelier.settings.bucket_sources
        assert [atelier.objects.get(bucket, source.key) for source in (first, second)] == [data, data]
        missing = ("OBJECT_MISSING", ("input", "source", "uploadId"))
        assert await client.refusal(upload_id=upload) == ("INVALID_INPUT", missing[1])
        mine = await client.upload(data)
        assert await other.refusal(upload_id=mine) == missing
        for nothing in (str(uuid4()), "", "../" + mine, f"x/{mine}", await client.upload(None)):
            assert await client.refusal(upload_id=nothing) == missing


@pytest.mark.anyio
async def test_uploads_that_are_no_sources_are_refused_where_they_are_named(atelier: Atelier):
    async with run_services(services := make_services(atelier.settings, print)):
        client = Client(services, atelier.requester)
        bad = {
            "no picture": b"<html>",
            "empty": b"",
            "too many bytes": picture(64, 64) + bytes(10 * MEGABYTE),
            "a bomb": png(65_535, 65_535, b""),
            "only its beginning": picture(64, 64)[:20],
        }
        for name, data in bad.items():
            upload = await client.upload(data)
            refused = await client.refusal(upload_id=upload)
            assert (name, refused) == (name, ("INVALID_INPUT", ("input", "source", "uploadId")))
        opaque = await client.upload(picture(64, 64))
        assert await client.refusal(upload_id=opaque, alpha=True) == (
            "INVALID_INPUT",
            ("input", "source", "uploadId"),
        )
        assert await client.source(opaque)
        for more, path in (
            ({}, ()),
            ({"upload_id": opaque, "url": "https://example.com/"}, ()),
            ({"url": "http://127.0.0.1/"}, ("url",)),
            ({"url": "ftp://example.com/"}, ("url",)),
        ):
            assert await client.refusal(**more) == ("INVALID_INPUT", ("input", "source", *path))
        (later,) = await client.resolve(given(url="https://example.com/a.png"))  # type: ignore[misc]
        assert isinstance(later, ResolvedSource)
        assert fetching((later,))
        one_bad = await client.resolve(given(upload_id=opaque), given(upload_id=str(uuid4())))
        assert isinstance(one_bad, Rejection)


@pytest.mark.anyio
async def test_storage_that_is_away_is_said_to_be(atelier: Atelier):
    async with run_services(services := make_services(atelier.settings, print)):
        client = Client(services, atelier.requester)
        upload = await client.upload(picture(64, 64))
        services.settings = msgspec.structs.replace(services.settings, bucket_sources="not-there")
        assert await client.refusal(upload_id=upload) == ("STORAGE_UNAVAILABLE", ("input", "source"))


@pytest.mark.anyio
async def test_a_repeated_key_gives_the_same_upload_and_nobody_else_s(atelier: Atelier):
    async with run_services(services := make_services(atelier.settings, print)):
        client, other = Client(services, atelier.requester), Client(services, atelier.owner)
        nobody = Client(services, ANONYMOUS)
        key = str(uuid4())
        ids = [await who.upload(None, idempotencyKey=key) for who in (client, client, other, nobody, nobody)]
        assert (ids[0], ids[3]) == (ids[1], ids[4])
        assert len(set(ids)) == 3
        await client.upload(None, idempotencyKey="a word of mine")
        for given, path in (
            ({"idempotencyKey": "guessable"}, "idempotencyKey"),
            ({"contentLength": 10 * MEGABYTE + 1}, "contentLength"),
            ({"contentLength": 0}, "contentLength"),
        ):
            answer = (await nobody.ask(UPLOAD, given=given))["createUpload"]
            assert (answer["code"], answer["path"]) == ("INVALID_INPUT", ["input", path])


@pytest.mark.anyio
async def test_workers_get_fresh_links_to_what_was_given_whenever_they_ask(atelier: Atelier):
    async with run_services(services := make_services(atelier.settings, print)):
        client, worker = Client(services, atelier.requester), Client(services, atelier.owner)
        files = [picture(64, 64, seed=number) for number in range(4)]
        roles = [SourceRole.SOURCE, SourceRole.MASK, SourceRole.EXTRA, SourceRole.EXTRA]
        keys = [(await client.source(await client.upload(data))).key for data in files]
        job, _ = atelier.ask(*((role, key, "") for role, key in zip(roles, keys, strict=True)))
        lease = run(atelier.writer, pop(atelier.worker, atelier.owner, ABLE)).result.lease
        shown: Sequence[Any] = (await worker.ask(LIVE))["liveAssignments"]
        (first,) = shown
        assert first["sourceProcessing"] == "IMG2IMG"
        extended = (await worker.ask(EXTEND, given={"leaseId": str(lease)}))["extendLease"]
        for links in (first, extended):
            urls = [
                links["sourceImageUrl"],
                links["sourceMaskUrl"],
                *(x["url"] for x in links["extraSources"]),
            ]
            assert [await asyncio.to_thread(got, url) for url in urls] == files
            assert [extra["strength"] for extra in links["extraSources"]] == [0.5, 0.5]
        assert (await client.ask(LIVE))["liveAssignments"] == []
        assert (await client.ask(VIEW, id=str(job)))["job"]["sourceFault"] is None


@pytest.mark.anyio
async def test_a_job_without_sources_has_no_links(atelier: Atelier):
    async with run_services(services := make_services(atelier.settings, print)):
        worker = Client(services, atelier.owner)
        atelier.lease(shared=False)
        (shown,) = (await worker.ask(LIVE))["liveAssignments"]
        links = {name: shown[name] for name in ("sourceProcessing", "sourceImageUrl", "sourceMaskUrl")}
        assert set(links.values()) == {None}
        assert shown["extraSources"] == []


@pytest.mark.anyio
async def test_its_client_reads_why_a_job_was_given_up_and_no_place_in_a_queue_it_is_not_in(atelier: Atelier):
    async with run_services(services := make_services(atelier.settings, print)):
        client = Client(services, atelier.requester)
        with Stranger(big=answer(png(60_000, 60_000, b""))) as stranger:
            job, position = atelier.by_url(stranger.url("big"))
            before = (await client.ask(VIEW, id=str(job)))["job"]
            assert before == {"state": "WAITING", "queuePosition": None, "sourceFault": None}
            await asyncio.to_thread(atelier.fetch, job, position)
        after = (await client.ask(VIEW, id=str(job)))["job"]
        assert after == {"state": "FAULTED", "queuePosition": None, "sourceFault": "TOO_LARGE"}
