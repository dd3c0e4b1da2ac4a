"""What a client may ask of an image job, feature by feature of docs/checklist.md, through the public API."""

import json
from base64 import b64decode
from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.horde import Horde, Submitted, User, picture, refused, submit, transfer, upload
from tests.acceptance.processes import eventually, run_cli
from tests.acceptance.wires import Api

EVERYTHING = {
    "allowLora": True,
    "allowControlnet": True,
    "allowSdxlControlnet": True,
    "features": [
        "TEXTUAL_INVERSION", "EXTRA_SOURCES", "CONTROL_MAP", "QR_CODE", "TRANSPARENT", "HIRES_FIX", "CASCADE_2PASS",
        "TILING", "CLIP_SKIP", "LCM", "MODERN_POST_PROCESSING",
    ],
}  # fmt: skip
QR_TEXT = [{"text": "https://example.org", "reference": "qr_code"}]


@pytest.fixture(scope="module")
def carol(horde: Horde) -> User:
    """A trusted user with 1000 kudos."""
    user = horde.register("carol", "1000")
    run_cli("role", user.alias, "trusted", variables=horde.variables)
    return user


def source(api: Api, **save: Any) -> dict[str, str]:
    """A picture that was uploaded, as an input."""
    made = api.call("createUpload", "... on CreateUploadSuccess { upload { id url } }", {})["upload"]
    status, body = transfer("PUT", made["url"], picture(64, 64, "PNG", **save))
    assert status == 200, body
    return {"uploadId": made["id"]}


def codes(user: User, **given: Any) -> list[str]:
    """The warnings of a quote, but for the one about workers."""
    found = quote(user, **given)["warnings"]
    return [each["code"] for each in found if each["code"] != "NO_AVAILABLE_WORKER"]


def quote(user: User, **given: Any) -> dict[str, Any]:
    document = (
        "query($input: SubmitImageJobInput!) { quoteImageJob(input: $input) { "
        "... on QuoteSuccess { quote { total items { label amount } } warnings { code message } } "
        "... on UserError { code message path } } }"
    )
    found: dict[str, Any] = user.api.ask(document, input={"prompt": "a pier", **given})["quoteImageJob"]
    return found


def submitted(horde: Horde, job: Submitted) -> dict[str, Any]:
    """The fact that a job was submitted."""
    after = int(job.answer["position"]) - 10
    (event,) = [
        each
        for each in horde.events(max(0, after), ["jobs.ImageJobSubmitted"])
        if each["stream"] == f"job-{job.id}"
    ]
    data = event["data"]
    found: dict[str, Any] = json.loads(data) if isinstance(data, str) else data
    return found


def view(user: User, job: str, chosen: str) -> dict[str, Any]:
    found: dict[str, Any] = user.api.ask(
        f"query($id: ID!) {{ job(id: $id) {{ ... on ImageJob {{ {chosen} }} }} }}", id=job
    )["job"]
    return found


# ------------------------------------------------------------------ what workers are given


def test_every_parameter_reaches_the_worker(alice: User, bob: User, model: str) -> None:
    """Features 42 to 44, 50 to 54: samplers to seeds, a negative prompt after ###, LoRAs, textual inversions."""
    params = {
        "width": 576, "height": 512, "steps": 20, "cfgScale": 7.25, "sampler": "K_DPMPP_2M", "karras": False,
        "tiling": True, "clipSkip": 2, "seed": "lighthouse", "seedVariation": 3, "n": 2, "hiresFix": True,
        "hiresFixDenoisingStrength": 0.4, "postProcessing": ["GFPGAN_V1_3", "REALESRGAN_X2PLUS"],
        "facefixerStrength": 0.5, "transparent": True,
        "loras": [{"name": "Sketch", "model": 0.5, "clip": -1, "injectTrigger": "any"}, {"name": "7", "isVersion": True}],
        "tis": [{"name": "4629", "injectTi": "NEGATIVE_PROMPT", "strength": 1.5}],
    }  # fmt: skip
    alice.submit("a tower ### fog", models=[model], params=params)
    assert bob.worker(model, maxPixels=1_000_000).pop()["__typename"] == "NoJob"
    taken = bob.worker(model, maxPixels=1_000_000, **EVERYTHING).take(amount=2)
    assert taken["payload"] == {
        "prompt": "a tower", "negative_prompt": "fog", "width": 576, "height": 512, "steps": 20, "cfg_scale": 7.25,
        "sampler_name": "k_dpmpp_2m", "karras": False, "tiling": True, "clip_skip": 2, "hires_fix": True,
        "hires_fix_denoising_strength": 0.4, "post_processing": ["GFPGANv1.3", "RealESRGAN_x2plus"],
        "facefixer_strength": 0.5, "transparent": True, "use_nsfw_censor": True,
        "loras": [
            {"name": "Sketch", "model": 0.5, "clip": -1.0, "inject_trigger": "any", "is_version": False},
            {"name": "7", "model": 1.0, "clip": 1.0, "inject_trigger": None, "is_version": True},
        ],
        "tis": [{"name": "4629", "inject_ti": "negprompt", "strength": 1.5}],
    }  # fmt: skip
    first, second = (int(task["seed"]) for task in taken["generations"])
    assert second == (first + 3) % 2**32


def test_a_control_type_needs_a_source_and_draws_in_20_steps(alice: User, bob: User, model: str) -> None:
    """Feature 49: ControlNet, a supplied map, the map returned."""
    with refused("INVALID_INPUT", "input", "params", "controlType"):
        alice.submit(models=[model], params={"controlType": "CANNY"})
    given = source(alice.api)
    with refused("INVALID_INPUT", "input", "params", "steps") as refusal:
        alice.submit(models=[model], source=given, params={"controlType": "CANNY", "steps": 41})
    assert refusal.refusal is not None
    assert "40" in refusal.refusal.message
    with refused("INVALID_INPUT", "input", "params", "controlType"):
        alice.submit(models=["SDXL 1.0"], source=given, params={"controlType": "CANNY"})
    alice.submit(models=[model], source=given, params={"controlType": "CANNY", "imageIsControl": True})
    payload = bob.worker(model, **EVERYTHING).take()["payload"]
    assert (payload["steps"], payload["control_type"], payload["image_is_control"]) == (20, "canny", True)
    assert alice.submit(models=[model], source=given, params={"controlType": "HED", "steps": 30}).job
    said = bob.worker(model, **EVERYTHING).take()["payload"]
    assert (said["steps"], said["return_control_map"]) == (30, False)


def test_a_qr_code_needs_its_text(alice: User, bob: User, model: str) -> None:
    """Feature 55: the workflow qr_code with extra texts."""
    with refused("INVALID_INPUT", "input", "params", "extraTexts"):
        alice.submit(models=[model], params={"workflow": "QR_CODE"})
    with refused("INVALID_INPUT", "input", "params", "workflow"):
        alice.submit(models=["Qwen-Image_fp8"], params={"workflow": "QR_CODE", "extraTexts": QR_TEXT})
    alice.submit(models=[model], params={"workflow": "QR_CODE", "extraTexts": QR_TEXT})
    payload = bob.worker(model, **EVERYTHING).take()["payload"]
    assert (payload["workflow"], payload["extra_texts"]) == ("qr_code", QR_TEXT)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"loras": [{"name": str(number)} for number in range(6)]}, ("loras",)),
        ({"loras": [{"name": "x", "isVersion": True}]}, ("loras", "0", "name")),
        ({"loras": [{"name": "x", "model": 5.1}]}, ("loras", "0", "model")),
        ({"tis": [{"name": str(number)} for number in range(21)]}, ("tis",)),
        ({"tis": [{"name": "x", "strength": -6}]}, ("tis", "0", "strength")),
        ({"denoisingStrength": 0}, ("denoisingStrength",)),
        ({"extraTexts": [{"text": "x", "reference": "qr"}]}, ("extraTexts", "0", "reference")),
        ({"hiresFixDenoisingStrength": 1.1}, ("hiresFixDenoisingStrength",)),
    ],
)
def test_each_bound_names_its_field(alice: User, params: dict[str, Any], field: tuple[str, ...]) -> None:
    """Features 45, 50 to 52 and 55: what is too much of them."""
    with refused("INVALID_INPUT", "input", "params", *field):
        alice.submit(params=params)


# ------------------------------------------------------------------ sources


def test_pictures_from_a_source_are_for_workers_that_take_them(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Features 45 and 46: img2img with a strength; inpainting with a mask."""
    given = source(alice.api)
    job = alice.submit(
        models=[model], source=given, sourceMask=given, sourceProcessing="INPAINTING",
        params={"denoisingStrength": 0.7},
    )  # fmt: skip
    unable = bob.worker(model, allowPainting=False)
    eventually(lambda: {"reason": "painting", "count": 1} in unable.pop()["skipped"], 5, "it is passed over")
    payload = bob.worker(model).take()["payload"]
    assert (payload["source_processing"], payload["denoising_strength"]) == ("inpainting", 0.7)
    data = submitted(horde, job)
    assert (data["source_processing"], data["source_mask"]) == ("inpainting", True)
    assert given["uploadId"] not in str(data)
    with refused("INVALID_INPUT", "input", "sourceMask"):
        alice.submit(models=[model], sourceMask=given)
    with refused("INVALID_INPUT", "input", "sourceProcessing"):
        alice.submit(models=[model], sourceProcessing="OUTPAINTING")


def test_nothing_from_a_source_is_shared(horde: Horde, alice: User, model: str) -> None:
    """Feature 63: neither by consent nor by being anonymous, and the tax is the full one."""
    for api, share in ((alice.api, True), (horde.anonymous, None)):
        job = submit(api, models=[model], source=source(api), share=share)
        assert job.job["shared"] is False
        assert "SOURCE_IS_NOT_SHARED" in [each["code"] for each in job.answer["warnings"]]
        assert job.job["quote"]["items"][-1]["amount"] == "3.00"
        assert submitted(horde, job)["shared"] is False


def test_the_depth_model_needs_a_source_and_looks_at_no_mask(horde: Horde, alice: User) -> None:
    """Feature 47."""
    depth = "Stable Diffusion 2 Depth"
    with refused("INVALID_INPUT", "input", "source"):
        alice.submit(models=[depth])
    given = source(alice.api)
    job = alice.submit(models=[depth], source=given, sourceMask=given, sourceProcessing="INPAINTING")
    assert "MASK_IGNORED" in [each["code"] for each in job.answer["warnings"]]
    assert submitted(horde, job).get("source_mask", False) is False
    job.cancel()


def test_remixes_are_for_cascade_and_several_sources_for_trusted_users(alice: User, carol: User) -> None:
    """Feature 48: remix with extra sources."""
    given = source(alice.api)
    extra = {"image": given, "strength": 0.5}
    with refused("INVALID_INPUT", "input", "sourceProcessing"):
        alice.submit(models=["SDXL 1.0"], source=given, sourceProcessing="REMIX")
    cascade = ["Stable Cascade 1.0"]
    with refused("INVALID_INPUT", "input", "extraSources"):
        alice.submit(models=cascade, source=given, extraSources=[extra])
    with refused("FORBIDDEN", "input", "extraSources"):
        alice.submit(
            models=cascade,
            source=given,
            sourceProcessing="REMIX",
            extraSources=[extra, {**extra, "strength": 1}],
        )
    alice.submit(models=cascade, source=given, sourceProcessing="REMIX", extraSources=[extra]).cancel()
    given = source(carol.api)
    extras = [{"image": given, "strength": strength} for strength in (0.5, 1)]
    carol.submit(models=cascade, source=given, sourceProcessing="REMIX", extraSources=extras).cancel()


# ------------------------------------------------------------------ which workers


def test_i_choose_my_workers(alice: User, bob: User, model: str) -> None:
    """Feature 61: only these, or all but these for a tenth more."""
    chosen, other = bob.worker(model), bob.worker(model)
    chosen.pop(), other.pop()
    plain = Decimal(quote(alice, models=[model])["quote"]["total"])
    eventually(
        lambda: quote(alice, models=[model], workers=[chosen.name])["warnings"] == [], 5, "it is online"
    )
    assert alice.submit(models=[model], workers=[chosen.name]).answer["warnings"] == []
    eventually(lambda: {"reason": "worker_id", "count": 1} in other.pop()["skipped"], 5, "it is passed over")
    assert chosen.pop()["__typename"] == "ImageAssignment"
    denied = alice.submit(models=[model], workers=[chosen.name.upper()], denyWorkers=True)
    tax = Decimal(3)
    assert Decimal(denied.job["quote"]["total"]) == (plain - tax) * Decimal("1.1") + tax
    assert chosen.pop()["__typename"] == "NoJob"
    assert other.pop()["__typename"] == "ImageAssignment"
    with refused("NOT_FOUND", "input", "workers", "1"):
        alice.submit(models=[model], workers=[chosen.name, "nobody"])
    with refused("INVALID_INPUT", "input", "workers"):
        alice.submit(models=[model], workers=[str(number) for number in range(6)])


def test_i_may_want_trusted_workers(alice: User, bob: User, carol: User, model: str) -> None:
    """Feature 57."""
    bob.worker(model).pop()
    job = alice.submit(models=[model], trustedWorkers=True)
    assert [each["code"] for each in job.answer["warnings"]] == ["NO_AVAILABLE_WORKER"]
    assert bob.worker(model).pop()["__typename"] == "NoJob"
    assert carol.worker(model).take()["jobId"] == job.id


def test_refusing_slow_workers_costs_a_fifth_more(alice: User, model: str) -> None:
    """Feature 59."""
    plain, quick = (
        Decimal(quote(alice, models=[model], slowWorkers=slow)["quote"]["total"]) - 3
        for slow in (True, False)
    )
    assert quick == plain * Decimal("1.2")


def test_extra_slow_workers_get_what_accepts_them(alice: User, bob: User, model: str) -> None:
    """Feature 60."""
    slow = bob.worker(model, extraSlow=True)
    alice.submit(models=[model])
    assert slow.pop()["__typename"] == "NoJob"
    job = alice.submit(models=[model], extraSlowWorkers=True)
    assert slow.take()["jobId"] == job.id


def test_pictures_are_drawn_one_by_one_for_trusted_users(
    horde: Horde, alice: User, carol: User, model: str
) -> None:
    """Feature 66."""
    with refused("FORBIDDEN", "input", "batching"):
        alice.submit(models=[model], batching=False, params={"n": 2})
    assert alice.submit(models=[model], batching=False).job
    job = carol.submit(models=[model], batching=False, params={"n": 2})
    assert submitted(horde, job)["batching"] is False


# ------------------------------------------------------------------ kudos


def test_a_job_is_made_smaller_rather_than_refused_if_i_say_so(horde: Horde, model: str) -> None:
    """Feature 65."""
    poor = horde.register("poor")
    large = {"models": [model], "params": {"width": 1024, "height": 1024, "steps": 50}}
    with refused("INSUFFICIENT_KUDOS", "input", "params", "width"):
        poor.submit(**large)
    job = poor.submit(**large, allowDowngrade=True)
    (warning,) = [each for each in job.answer["warnings"] if each["code"] == "DOWNGRADED"]
    data = submitted(horde, job)
    assert data["downgraded"] is True
    assert data["width"] * data["height"] <= 576 * 576
    assert f"{data['width']} x {data['height']} pixels and {data['steps']} steps" in warning["message"]
    worker = horde.register("someone").worker(model, maxPixels=1_000_000)
    payload = worker.take()["payload"]
    assert [payload[name] for name in ("width", "height", "steps")] == [
        data[name] for name in ("width", "height", "steps")
    ]


def test_a_service_names_whom_it_asks_for(horde: Horde, alice: User, model: str) -> None:
    """Feature 70."""
    with refused("FORBIDDEN", "input", "proxiedAccount"):
        alice.submit(models=[model], proxiedAccount="somebody")
    bot = horde.register("bot", "100")
    run_cli("role", bot.alias, "service", variables=horde.variables)
    job = bot.submit(models=[model], proxiedAccount="discord: 77-marker")
    assert view(bot, job.id, "proxiedAccount") == {"proxiedAccount": "discord: 77-marker"}
    document = "query($id: ID!, $key: String) { job(id: $id, accessKey: $key) { ... on ImageJob { proxiedAccount } } }"
    seen = horde.anonymous.ask(document, id=job.id, key=job.access_key)
    assert seen["job"] == {"proxiedAccount": None}
    assert "77-marker" not in str(submitted(horde, job))


# ------------------------------------------------------------------ what I am told


def test_i_am_warned_of_what_my_models_draw_badly_with(alice: User) -> None:
    """Feature 68."""
    flux = {"models": ["Flux.1-Schnell fp8 (Compact)"]}
    params = {"steps": 30, "cfgScale": 7, "sampler": "DDIM", "karras": True}
    assert codes(alice, **flux, params=params) == [
        "STEPS_TOO_MANY", "CFG_SCALE_MISMATCH", "SAMPLER_MISMATCH", "SCHEDULER_MISMATCH",
    ]  # fmt: skip
    assert (
        codes(alice, **flux, params={"steps": 4, "cfgScale": 1, "sampler": "K_EULER", "karras": False}) == []
    )
    assert codes(alice, models=["Counterfeit"], params={}) == ["CLIP_SKIP_MISMATCH"]
    qwen = {"models": ["Qwen-Image_fp8"]}
    assert codes(alice, **qwen, params={"steps": 9, "cfgScale": 0.5}) == [
        "STEPS_TOO_FEW",
        "CFG_SCALE_TOO_SMALL",
    ]
    assert codes(alice, **qwen, params={"steps": 20, "cfgScale": 7}) == ["CFG_SCALE_TOO_LARGE"]
    with refused("INVALID_INPUT", "input", "params", "hiresFix"):
        alice.submit(**flux, params={"hiresFix": True})


def test_a_quote_warns_of_what_would_be_refused(horde: Horde, alice: User, model: str) -> None:
    """Feature 64: the same checks as at submission."""
    assert codes(alice, models=[model], maxKudos="0.01") == ["INVALID_INPUT"]
    assert codes(alice, models=[model], batching=False, params={"n": 2}) == ["FORBIDDEN"]
    assert codes(alice, models=[model], params={"n": 20, "width": 3072, "height": 3072}) == [
        "INSUFFICIENT_KUDOS"
    ]
    with refused("NOT_FOUND", "input", "workers", "0"):
        alice.submit(models=[model], workers=["nobody"])


def test_i_see_why_nobody_can_serve_my_job(alice: User, bob: User, model: str) -> None:
    """Feature 71: whether it is possible, and where the workers go missing."""
    bob.worker(model).pop()
    eventually(lambda: quote(alice, models=[model])["warnings"] == [], 5, "it is online")
    job = alice.submit(models=[model], params={"loras": [{"name": "x"}]})
    found = view(alice, job.id, "servability { possible constraints { constraint workers } }")["servability"]
    assert found["possible"] is False
    left = {each["constraint"]: each["workers"] for each in found["constraints"]}
    assert (left["models"], left["max_pixels"], left["lora"]) == (1, 1, 0)
    plain = alice.submit(models=[model])
    assert view(alice, plain.id, "servability { possible }") == {"servability": {"possible": True}}
    assert bob.worker(model).take()["jobId"] == plain.id
    assert view(alice, plain.id, "servability { possible }") == {"servability": None}


def test_i_get_my_picture_in_the_answer_and_what_the_worker_noted(alice: User, bob: User, model: str) -> None:
    """Features 62 and 72: base64 on request, typed notes."""
    job = alice.submit(models=[model])
    chosen = "generations { imageBase64 imageAbsence notes { type value ref } }"
    (before,) = view(alice, job.id, chosen)["generations"]
    assert before == {"imageBase64": None, "imageAbsence": "NOT_DELIVERED", "notes": []}
    worker = bob.worker(model)
    taken = worker.take()
    (task,) = taken["generations"]
    data = upload(task)
    notes = [
        {"type": "LORA", "value": "DOWNLOAD_FAILED", "ref": "Sketch"},
        {"type": "CENSORSHIP", "value": "NSFW"},
    ]
    with refused("INVALID_INPUT", "input", "results", "0", "notes"):
        worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK", "notes": notes[:1] * 51})
    with refused("INVALID_INPUT", "input", "results", "0", "notes", "1", "ref"):
        long = [notes[0], {**notes[1], "ref": "x" * 256}]
        worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK", "notes": long})
    worker.report(taken["leaseId"], {"generationId": task["id"], "state": "OK", "notes": notes})
    (after,) = view(alice, job.id, chosen)["generations"]
    assert b64decode(after["imageBase64"]) == data
    assert (after["imageAbsence"], after["notes"]) == (None, [notes[0], {**notes[1], "ref": None}])


def test_four_pictures_of_one_operation_come_in_the_answer(alice: User, bob: User, model: str) -> None:
    """Feature 62: the bound of it."""
    job = alice.submit(models=[model], params={"n": 5, "width": 64, "height": 64})
    worker = bob.worker(model)
    taken = worker.take(amount=5)
    small = picture(64, 64)
    for task in taken["generations"]:
        upload(task, small)
    worker.report(taken["leaseId"], *({"generationId": t["id"], "state": "OK"} for t in taken["generations"]))
    document = "query($id: ID!) { job(id: $id) { ... on ImageJob { generations { imageBase64 } } } }"
    answer = alice.api.post(document, {"id": job.id})
    found = [each["imageBase64"] for each in answer.body["data"]["job"]["generations"]]
    assert sum(each is not None for each in found) == 4
    assert answer.codes == ["LIMIT_PICTURES"]
