"""Pictures that are drawn from pictures: uploaded or named by URL, reaching a worker, and shared by nobody.

Features 45 to 49 and 114 of docs/checklist.md, as far as the pictures' way goes. "Outside" is a stranger's server at
127.0.0.2. Look next: `tests/hostile/test_sources.py`, `tests/integration/test_sources.py`.
"""

import base64
import io
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from PIL import Image

from tests.acceptance.horde import (
    WATCH,
    Horde,
    Submitted,
    User,
    final,
    picture,
    refused,
    submit,
    transfer,
)
from tests.acceptance.processes import eventually
from tests.acceptance.wires import Api
from tests.stranger import Says, Stranger, answer, redirect

UPLOAD = "... on CreateUploadSuccess { upload { id url expiresAt maxBytes } }"
LINKS = "sourceImageUrl sourceMaskUrl extraSources { url strength }"
INLINE = (
    "... on ImageAssignment { leaseId sourceImageBase64 sourceMaskBase64 extraSources { base64 strength } }"
)
FAULT = "query($id: ID!, $key: String) { job(id: $id, accessKey: $key) { state shared ... on ImageJob { sourceFault } } }"
CASCADE = "Stable Cascade 1.0"
DEPTH = "Stable Diffusion 2 Depth"


def upload(api: Api, data: bytes) -> str:
    """Upload a source image; its id."""
    made = api.call("createUpload", UPLOAD, {"contentLength": len(data)})["upload"]
    assert transfer("PUT", made["url"], data) == (200, b"")
    return str(made["id"])


def fault(job: Submitted) -> dict[str, Any]:
    """The job with why it was given up."""
    found: dict[str, Any] = job.api.ask(FAULT, id=job.id, key=job.access_key)["job"]
    return found


def transparent(width: int = 512, height: int = 512) -> bytes:
    """A PNG picture with a hole."""
    with Image.open(io.BytesIO(picture(width, height))) as opened:
        holed = opened.convert("RGBA")
    holed.paste((0, 0, 0, 0), (0, 0, width // 2, height // 2))
    output = io.BytesIO()
    holed.save(output, "PNG")
    return output.getvalue()


def fetched(taken: dict[str, Any]) -> dict[str, bytes | list[bytes] | None]:
    """What the links of an assignment lead to."""

    def got(url: str | None) -> bytes | None:
        if url is None:
            return None
        status, data = transfer("GET", url)
        assert status == 200
        return data

    extra = [got(each["url"]) for each in taken["extraSources"]]
    return {"source": got(taken["sourceImageUrl"]), "mask": got(taken["sourceMaskUrl"]), "extra": extra}  # type: ignore[dict-item]


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger() as made:
        yield made


def test_img2img_from_an_upload_with_strength(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Feature 45: the worker gets the very picture, and what it may change of it."""
    data = picture()
    job = alice.submit(
        models=[model],
        source={"uploadId": upload(alice.api, data)},
        params={"denoisingStrength": 0.6},
        share=True,
    )
    assert job.job["state"] == "WAITING"
    worker = bob.worker(model)
    taken = worker.take()
    assert fetched(taken) == {"source": data, "mask": None, "extra": []}
    assert (taken["sourceProcessing"], taken["payload"]["source_processing"]) == ("IMG2IMG", "img2img")
    assert taken["payload"]["denoising_strength"] == 0.6
    worker.deliver(taken)
    done = final(job)
    assert (done["state"], done["shared"]) == ("DONE", False)


def test_img2img_from_a_url_is_fetched_first_and_wakes_who_waits(
    horde: Horde, alice: User, bob: User, model: str, stranger: Stranger
) -> None:
    """Feature 45: by URL, through a redirect; the job is queued when the picture is there."""
    data, go = picture(kind="PNG"), Event()

    def page() -> Says:
        go.wait(15)
        yield answer(data, content_type="text/plain")

    stranger.pages |= {"/first": redirect("/second"), "/second": page}
    job = alice.submit(models=[model], source={"url": stranger.url("first?marker-in-a-url")})
    assert (job.now()["state"], job.now()["queuePosition"]) == ("WAITING", None)
    worker = bob.worker(model)
    assert worker.pop()["__typename"] == "NoJob"
    taken: list[dict[str, Any]] = []
    waiting = Thread(target=lambda: taken.append(worker.pop(waitSeconds=30)))
    waiting.start()
    eventually(lambda: "/second" in stranger.paths(), 20, "it is fetched")
    go.set()
    waiting.join(30)
    assert fetched(taken[0])["source"] == data
    worker.deliver(taken[0])
    assert final(job)["state"] == "DONE"
    with psycopg.connect(horde.variables["HOARD_DATABASE_URL"]) as connection:
        found = connection.execute("SELECT count(*) FROM vault.source WHERE url LIKE '%%marker-in-a-url%%'")
        assert found.fetchone() == (0,)
    for path in (*horde.log_folder.glob("*.log"), *horde.folder.rglob("*.log")):
        text = path.read_text(errors="replace")
        assert "marker-in-a-url" not in text
        assert stranger.host not in text


def test_inpainting_with_a_mask_or_with_alpha_and_outpainting(
    horde: Horde, alice: User, bob: User, model: str, stranger: Stranger
) -> None:
    """Feature 46: the mask goes with the source; without one the source must have an alpha channel."""
    source, mask, holed = picture(), picture(kind="PNG"), transparent()
    given = {"source": {"uploadId": upload(alice.api, source)}, "sourceProcessing": "INPAINTING"}
    worker = bob.worker(model)

    masked = alice.submit(models=[model], **given, sourceMask={"uploadId": upload(alice.api, mask)})
    taken = worker.serve()
    assert fetched(taken) == {"source": source, "mask": mask, "extra": []}
    assert taken["sourceProcessing"] == "INPAINTING"
    assert final(masked)["state"] == "DONE"

    alice.submit(models=[model], **(given | {"source": {"uploadId": upload(alice.api, holed)}}))
    assert fetched(worker.serve()) == {"source": holed, "mask": None, "extra": []}

    with refused("INVALID_INPUT", "input", "source", "uploadId"):
        alice.submit(models=[model], **given)
    stranger.pages |= {"/opaque": answer(source), "/holed": answer(holed)}
    opaque = alice.submit(models=[model], **(given | {"source": {"url": stranger.url("opaque")}}))
    eventually(lambda: fault(opaque)["sourceFault"] == "NO_MASK", 20, "it is refused")
    alice.submit(models=[model], **(given | {"source": {"url": stranger.url("holed")}}))
    assert fetched(worker.take(waitSeconds=20))["source"] == holed

    alice.submit(models=[model], **(given | {"sourceProcessing": "OUTPAINTING"}))
    assert worker.take()["sourceProcessing"] == "OUTPAINTING"


def test_depth2img_takes_the_source_and_no_mask(horde: Horde, alice: User, bob: User) -> None:
    """Feature 47: the depth model draws from a source, and ignores a mask."""
    with refused("INVALID_INPUT", "input", "source"):
        alice.submit(models=[DEPTH])
    data = picture()
    source = {"uploadId": upload(alice.api, data)}
    mask = {"uploadId": upload(alice.api, picture())}
    alice.submit(models=[DEPTH], source=source, sourceMask=mask)
    taken = bob.worker(DEPTH).serve()
    assert fetched(taken) == {"source": data, "mask": None, "extra": []}


def test_a_remix_of_several_sources(horde: Horde, alice: User, bob: User, stranger: Stranger) -> None:
    """Feature 48: extra sources with their strengths, in their order, uploaded and by URL."""
    files = [picture() for _ in range(3)]
    stranger.pages["/extra"] = answer(files[1])
    given: dict[str, Any] = {
        "models": [CASCADE],
        "source": {"uploadId": upload(alice.api, files[0])},
        "sourceProcessing": "REMIX",
        "extraSources": [{"image": {"url": stranger.url("extra")}, "strength": 0.25}],
    }
    job = alice.submit(**given)
    worker = bob.worker(CASCADE, features=["EXTRA_SOURCES"])
    assert bob.worker(CASCADE).pop(waitSeconds=3)["__typename"] == "NoJob"
    taken = worker.take(waitSeconds=20)
    assert fetched(taken) == {"source": files[0], "mask": None, "extra": files[1:2]}
    assert [extra["strength"] for extra in taken["extraSources"]] == [0.25]
    assert taken["sourceProcessing"] == "REMIX"
    worker.deliver(taken)
    assert final(job)["state"] == "DONE"
    second = {"image": {"uploadId": upload(alice.api, files[2])}}
    with refused("FORBIDDEN"):  # several are for trusted users
        alice.submit(**(given | {"extraSources": [*given["extraSources"], second]}))


def test_what_a_controlnet_holds_fast_comes_by_link(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Feature 49: the source, or a control map that is supplied, reaches only workers with ControlNet."""
    data = picture()
    source = {"uploadId": upload(alice.api, data)}
    alice.submit(models=[model], source=source, params={"controlType": "CANNY", "imageIsControl": True})
    assert bob.worker(model).pop()["__typename"] == "NoJob"
    taken = bob.worker(model, allowControlnet=True, features=["CONTROL_MAP"]).take()
    assert fetched(taken)["source"] == data
    assert taken["payload"]["control_type"] == "canny"
    assert taken["payload"]["image_is_control"] is True


def test_a_worker_may_ask_for_the_pictures_themselves(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Feature 114: inline, for workers that cannot reach the storage."""
    files = [picture(), picture(kind="PNG")]
    source, mask = ({"uploadId": upload(alice.api, data)} for data in files)
    alice.submit(models=[model], source=source, sourceMask=mask, sourceProcessing="INPAINTING")
    given = {"workerName": f"old bridge {model}", "image": {"models": [model]}}
    taken = bob.api.call("popJob", INLINE, given)
    assert [base64.b64decode(taken[f"source{part}Base64"]) for part in ("Image", "Mask")] == files
    assert taken["extraSources"] == []


def test_nothing_that_was_drawn_from_a_source_is_shared_not_even_for_anonymous(
    horde: Horde, bob: User, model: str
) -> None:
    """Features 45 and 92: an anonymous job, always shared otherwise, is not; it pays the whole tax."""
    api = horde.anonymous
    job = submit(api, models=[model], source={"uploadId": upload(api, picture())})
    plain = submit(api, models=[model])
    assert (job.job["shared"], plain.job["shared"]) == (False, True)
    taxes = [
        item["amount"]
        for each in (job, plain)
        for item in each.job["quote"]["items"]
        if "tax" in item["label"]
    ]
    assert taxes == ["3.00", "1.00"]
    worker = bob.worker(model)
    for _ in range(2):
        worker.serve()
    eventually(lambda: plain.now()["generations"][0]["sha256"], 30, "the other one is published")
    (generation,) = job.now()["generations"]
    assert (generation["state"], generation["sha256"], generation["withheld"]) == ("DONE", None, None)


def test_a_source_that_cannot_be_had_ends_the_job_and_its_client_reads_why(
    horde: Horde, alice: User, model: str, stranger: Stranger
) -> None:
    """Feature 92: nothing is charged, whoever follows the job is told, the hold is released."""
    go = Event()

    def page() -> Says:
        go.wait(15)
        yield answer(b"<html>")

    stranger.pages["/page"] = page
    job = alice.submit(models=[model], source={"url": stranger.url("page")})
    assert float(alice.me()["held"]) > 0
    with alice.api.websocket(WATCH, {"id": job.id}) as live:
        assert next(live)["data"]["jobUpdated"]["state"] == "WAITING"
        go.set()
        *_, last = [message["data"]["jobUpdated"]["state"] for message in live]
    assert last == "FAULTED"
    assert fault(job) == {"state": "FAULTED", "shared": False, "sourceFault": "NO_IMAGE"}
    assert (float(alice.me()["held"]), alice.kudos) == (0, 1000)


def test_urls_that_lead_inside_are_refused_at_once_or_when_they_turn_out_to(
    horde: Horde, alice: User, model: str, stranger: Stranger
) -> None:
    for url in (
        "http://127.0.0.1/a.png",
        "https://10.0.0.1/",
        "https://me@example.com/",
        "file:///etc/passwd",
    ):
        before = horde.quiet()
        with refused("INVALID_INPUT", "input", "source", "url"):
            alice.submit(models=[model], source={"url": url})
        assert horde.position() == before
    inside = horde.process.url
    stranger.pages["/away"] = redirect(inside)
    job = alice.submit(models=[model], source={"url": stranger.url("away")})
    eventually(lambda: fault(job)["sourceFault"] == "FORBIDDEN_ADDRESS", 20, "it is refused")


def test_a_job_that_is_cancelled_while_its_source_is_fetched_ends(
    horde: Horde, alice: User, bob: User, model: str, stranger: Stranger
) -> None:
    go = Event()

    def page() -> Says:
        go.wait(15)
        yield answer(picture())

    stranger.pages["/slow"] = page
    job = alice.submit(models=[model], source={"url": stranger.url("slow")})
    eventually(lambda: stranger.visits, 20, "it is fetched")
    assert job.cancel()["state"] == "CANCELLED"
    go.set()
    assert float(alice.me()["held"]) == 0
    assert bob.worker(model).pop(waitSeconds=1)["__typename"] == "NoJob"
    assert fault(job)["sourceFault"] is None


def test_the_same_request_again_is_the_same_job(horde: Horde, alice: User, model: str) -> None:
    """A repeat finds its upload again, and makes no second job."""
    key = f"again {model}"
    made = [alice.api.call("createUpload", UPLOAD, {"idempotencyKey": key})["upload"] for _ in range(2)]
    assert made[0]["id"] == made[1]["id"]
    transfer("PUT", made[0]["url"], picture())
    source = {"uploadId": made[0]["id"]}
    jobs = [alice.submit(models=[model], source=source, idempotencyKey=key) for _ in range(2)]
    assert jobs[0].id == jobs[1].id
    with refused("OBJECT_MISSING", "input", "source", "uploadId"):
        horde.register().submit(models=[model], source=source)


def test_links_are_fresh_whenever_a_worker_asks(horde: Horde, alice: User, bob: User, model: str) -> None:
    data = picture()
    alice.submit(models=[model], source={"uploadId": upload(alice.api, data)})
    worker = bob.worker(model)
    taken = worker.take()
    given = {"leaseId": taken["leaseId"]}
    extended = bob.api.call("extendLease", f"... on ExtendLeaseSuccess {{ {LINKS} }}", given)
    (live,) = bob.api.ask(f"{{ liveAssignments {{ ... on ImageAssignment {{ leaseId {LINKS} }} }} }}")[
        "liveAssignments"
    ]
    for links in (taken, extended, live):
        assert fetched(links) == {"source": data, "mask": None, "extra": []}
        assert transfer("PUT", links["sourceImageUrl"], b"other")[0] == 403
    worker.release(taken["leaseId"])
