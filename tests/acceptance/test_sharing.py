"""A shared picture is published with how it was made; nothing else ever is."""

import io
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from minio import Minio
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.acceptance.horde import Horde, Submitted, User, picture, submit, upload
from tests.acceptance.processes import eventually


@pytest.fixture
def shared(horde: Horde) -> Iterator[Minio]:
    """The storage, with the operator's key."""
    store = Minio(
        horde.variables["HOARD_S3_URL"].partition("://")[2],
        horde.variables["HOARD_S3_ACCESS_KEY"],
        horde.variables["HOARD_S3_SECRET_KEY"],
        region=horde.variables["HOARD_S3_REGION"],
        secure=False,
    )
    yield store
    store._http.clear()  # type: ignore[attr-defined]


def names(store: Minio) -> set[str]:
    return {str(item.object_name) for item in store.list_objects("shared", recursive=True)}


def content(store: Minio, name: str) -> bytes:
    response = store.get_object("shared", name)
    try:
        return response.read()
    finally:
        response.close()
        response.release_conn()


def published(job: Submitted) -> dict[str, Any]:
    """The first generation once its sharing is settled."""

    def settled() -> dict[str, Any] | None:
        generation: dict[str, Any] = job.now()["generations"][0]
        return generation if generation["sha256"] or generation["withheld"] else None

    found = eventually(settled, 20, "the picture is published or withheld")
    assert found is not None
    return found


def test_my_shared_picture_is_published_with_how_it_was_made(
    horde: Horde, bob: User, shared: Minio, model: str
) -> None:
    user = horde.register("artist", "100")
    job = user.submit(
        "a crane",
        negativePrompt="fog",
        models=[model],
        share=True,
        params={
            "width": 640,
            "height": 448,
            "steps": 20,
            "cfgScale": 7.5,
            "seed": "77",
            "sampler": "K_DPMPP_2M",
        },
    )
    worker = bob.worker(model, maxPixels=1024 * 1024)
    taken = worker.take()
    chunks = PngInfo()
    chunks.add_text("parameters", "a crane, C:\\Users\\bob")
    upload(taken["generations"][0], picture(640, 448, "PNG", pnginfo=chunks))
    worker.report(
        taken["leaseId"], {"generationId": taken["generations"][0]["id"], "state": "OK", "seed": "77"}
    )
    generation = published(job)
    assert generation["withheld"] is None
    data = content(shared, f"{generation['id']}.webp")
    assert sha256(data).hexdigest() == generation["sha256"]
    assert b"Users" not in data
    assert b"EXIF" not in data
    with Image.open(io.BytesIO(data)) as opened:
        assert (opened.format, opened.size, opened.info.get("exif"), opened.info.get("xmp")) == (
            "WEBP",
            (640, 448),
            None,
            None,
        )
    told = json.loads(content(shared, f"{generation['id']}.json"))
    expected = {
        "id": generation["id"],
        "set": job.id,
        "prompt": "a crane",
        "negative_prompt": "fog",
        "width": 640,
        "height": 448,
        "steps": 20,
        "sampler": "k_dpmpp_2m",
        "cfg": 7.5,
        "karras": True,
        "pp": [],
        "seed": "77",
        "model": model,
        "censored": False,
        "user_type": "registered",
        "sha256": generation["sha256"],
        "licence": "CC0-1.0",
    }
    assert {name: told.get(name) for name in expected} == expected
    (delivered,) = [
        e for e in horde.events(int(told["position"]) - 1) if int(e["position"]) == told["position"]
    ]
    assert delivered["type"] == "jobs.GenerationDelivered"
    assert delivered["data"]["generation"] == generation["id"]
    text = json.dumps(told)
    assert not any(secret in text for secret in (user.id, bob.id, "artist", worker.name))


def test_what_i_do_not_share_is_not_published(
    horde: Horde, alice: User, bob: User, shared: Minio, model: str
) -> None:
    kept = alice.submit(models=[model], share=False)
    worker = bob.worker(model)
    worker.serve()
    anonymous = submit(horde.anonymous, models=[model])
    worker.serve()
    generation = published(anonymous)  # published after, so the other one had its turn
    assert {f"{generation['id']}.webp", f"{generation['id']}.json"} <= names(shared)
    assert json.loads(content(shared, f"{generation['id']}.json"))["user_type"] == "anon"
    horde.quiet()
    unshared = kept.now()["generations"][0]
    assert (unshared["sha256"], unshared["withheld"]) == (None, None)
    assert not any(unshared["id"] in name for name in names(shared))


def test_a_picture_of_another_size_than_asked_for_is_withheld(
    alice: User, bob: User, shared: Minio, model: str
) -> None:
    job = alice.submit(models=[model], share=True)
    worker = bob.worker(model)
    taken = worker.take()
    upload(taken["generations"][0], picture(512, 576))
    worker.report(taken["leaseId"], {"generationId": taken["generations"][0]["id"], "state": "OK"})
    generation = published(job)
    assert generation["withheld"]
    assert generation["sha256"] is None
    assert not any(generation["id"] in name for name in names(shared))


def test_what_is_censored_is_never_published(
    alice: User, bob: User, shared: Minio, model: str, horde: Horde
) -> None:
    job = alice.submit(models=[model], share=True, params={"n": 2})
    worker = bob.worker(model)
    taken = worker.take(amount=2)
    for task in taken["generations"]:
        upload(task)
    one, two = (task["id"] for task in taken["generations"])
    worker.report(
        taken["leaseId"], {"generationId": one, "state": "CSAM"}, {"generationId": two, "state": "OK"}
    )
    eventually(lambda: f"{two}.webp" in names(shared), 20)
    horde.quiet()
    assert not any(one in name for name in names(shared))
    assert {g["id"]: bool(g["sha256"]) for g in job.now()["generations"]} == {one: False, two: True}


def test_i_can_take_my_consent_back_and_my_picture_leaves_the_shared_bucket(
    alice: User, bob: User, shared: Minio, model: str
) -> None:
    job = alice.submit(models=[model], share=True)
    bob.worker(model).serve()
    generation = published(job)
    assert f"{generation['id']}.webp" in names(shared)
    chosen = "... on WithdrawConsentSuccess { job { id shared } }"
    told = alice.api.call("withdrawConsent", chosen, {"id": job.id})
    assert told["job"] == {"id": job.id, "shared": False}
    eventually(lambda: not any(generation["id"] in name for name in names(shared)), 20)
    assert eventually(lambda: published(job)["withheld"] == "CONSENT_WITHDRAWN", 20)


def test_strangers_cannot_list_or_read_what_is_not_theirs(horde: Horde) -> None:

    for bucket in ("results", "sources", "datasets", "shared"):
        with (
            pytest.raises(HTTPError) as refusal,
            urlopen(f"{horde.variables['HOARD_S3_URL']}/{bucket}/", timeout=5),
        ):
            pass
        with refusal.value as answer:
            assert answer.code == 403, bucket
