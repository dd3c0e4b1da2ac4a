"""The worker's settings: every fault at once, the file and its comments, what goes before what."""

import os
import stat
from importlib.util import find_spec

import msgspec
import pytest

from clients.worker import settings_file
from clients.worker.backends import Abilities
from clients.worker.choosing import craft_of
from clients.worker.crafts.images import Images
from clients.worker.live import LiveSettings
from clients.worker.settings import (
    AT_START,
    BACKENDS,
    KEYS,
    Settings,
    SettingsError,
    checked,
    description,
    from_text,
    keys_of,
)


def faults(error: pytest.ExceptionInfo[SettingsError]) -> list[str]:
    return [fault.key for fault in error.value.faults]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "worker.toml"
    path.write_text(
        'name = "w"\nthreads = 2  # two cards\nmodels = [\n  "a",  # mine\n  "b",\n]\n# amount = 1\n'
    )
    return path


def touched(path, text: str) -> None:
    """Another text, and a time that differs however coarse the clock of the file system is."""
    path.write_text(text)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))


def test_all_faults_are_told_at_once():
    given = {"nam": "w", "threads": 0, "models": "a", "url": "ftp://x", "priority_users": ["nobody"]}
    with pytest.raises(SettingsError) as error:
        checked(given)
    assert faults(error) == ["nam", "threads", "models", "priority_users", "url"]
    assert "did you mean name?" in str(error.value)


def test_a_worker_needs_a_name():
    with pytest.raises(SettingsError, match="needs a name"):
        checked({})


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("threads", "3", 3),
        ("nsfw", "false", False),
        ("models", "a, b ,", ("a", "b")),
        ("features", "LCM,TILING", ("LCM", "TILING")),
        ("source_seconds", "2.5", 2.5),
    ],
)
def test_what_is_typed_becomes_what_is_meant(key, text, value):
    assert from_text(key, text) == value


@pytest.mark.parametrize(("key", "text"), [("threads", "51"), ("nsfw", "perhaps"), ("features", "FLYING")])
def test_what_makes_no_sense_is_refused(key, text):
    with pytest.raises(SettingsError) as error:
        from_text(key, text)
    assert faults(error) == [key]


@pytest.mark.parametrize("kind", BACKENDS)
def test_the_example_explains_every_setting_of_its_kind_and_changes_none(tmp_path, kind):
    path = tmp_path / "new.toml"
    settings_file.write_example(path, "w", kind)
    assert checked(settings_file.read(path)) == Settings(name="w", kind=kind)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all((description(key) in path.read_text()) == (key in keys_of(kind)) for key in KEYS)
    with pytest.raises(FileExistsError):
        settings_file.write_example(path, "w")


@pytest.mark.parametrize("kind", BACKENDS)
def test_every_line_of_the_example_holds_when_it_is_uncommented(tmp_path, kind):
    path = tmp_path / "new.toml"
    settings_file.write_example(path, "w", kind)
    lines = [line.removeprefix("# ") for line in path.read_text().splitlines()]
    path.write_text("\n".join(line for line in lines if line.split(" = ")[0] in KEYS))
    found = msgspec.structs.replace(checked(settings_file.read(path)), features=None, forms=None)
    assert found == Settings(name="w", kind=kind)


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({"kind": "text", "max_pixels": 4096, "forms": ["CAPTION"]}, ["max_pixels", "forms"]),
        ({"kind": "interrogation", "models": ["m"]}, ["models"]),
        ({"max_length": 80}, ["max_length"]),
        ({"kind": "text", "backend": "comfyui"}, ["backend"]),
        ({"backend": "local"}, ["backend"]),
        ({"kind": "sound"}, ["kind"]),
        ({"kind": "interrogation", "forms": ["SMELL"]}, ["forms"]),
    ],
)
def test_what_belongs_to_workers_of_another_kind_is_refused(given, keys):
    with pytest.raises(SettingsError) as error:
        checked({"name": "w", **given})
    assert faults(error) == keys


@pytest.mark.parametrize(
    ("kind", "backend"), [(kind, name) for kind, names in BACKENDS.items() for name in names]
)
def test_there_is_a_craft_for_every_backend_of_every_kind(kind, backend):
    settings = checked({"name": "w", "kind": kind, "backend": backend})
    if backend == "local" and not find_spec("xllamacpp"):
        with pytest.raises(ValueError, match="make models"):
            craft_of(settings)
    else:
        assert craft_of(settings).offered(settings).kind == kind


def test_a_change_of_the_file_keeps_everything_else(file):
    file.chmod(0o640)
    settings_file.change(file, "threads", 3)
    settings_file.change(file, "models", ('c "x"\n',))
    settings_file.change(file, "amount", 4)
    settings_file.change(file, "nsfw", False)
    assert file.read_text() == (
        'name = "w"\nthreads = 3  # two cards\nmodels = ["c \\"x\\"\\u000a"]\n# amount = 1\namount = 4\nnsfw = false\n'
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_file_that_is_not_flat_is_not_changed(file):
    before = 'name = "w"\n[more]\n'
    file.write_text(before)
    with pytest.raises(SettingsError, match="by hand"):
        settings_file.change(file, "threads", 3)
    assert file.read_text() == before


def test_the_file_goes_below_the_command_line_and_that_below_the_hand(file):
    live = LiveSettings(file, {"amount": 5, "max_pixels": 64 * 64})
    assert (live.current.threads, live.current.amount) == (2, 5)
    live.set("amount", "6", save=False)
    touched(file, file.read_text().replace("threads = 2", "threads = 4"))
    assert live.reread() == ("threads is now 4",)
    assert (live.current.threads, live.current.amount, live.current.max_pixels) == (4, 6, 4096)
    assert live.reread() == ()


def test_what_was_set_by_hand_holds_until_the_file_says_something_new(file):
    live = LiveSettings(file, {})
    live.set("threads", "7", save=False)
    assert live.current.threads == 7
    touched(file, file.read_text().replace("threads = 2", "threads = 3"))
    live.reread()
    assert live.current.threads == 3


def test_what_is_saved_is_in_the_file_and_not_read_again(file):
    live = LiveSettings(file, {"threads": 9})
    assert live.set("threads", "3", save=True) == ("threads is now 3",)
    assert live.current.threads == 3
    assert settings_file.read(file)["threads"] == 3
    assert live.reread() == ()
    with pytest.raises(SettingsError, match="no file"):
        LiveSettings(None, {"name": "w"}).set("threads", "3", save=True)


@pytest.mark.parametrize("text", ["threads = ", 'name = "w"\nthreads = 99\n', ""])
def test_a_file_with_faults_changes_nothing_and_is_told_once(file, text):
    live = LiveSettings(file, {})
    before = live.current
    touched(file, text)
    with pytest.raises(SettingsError):
        live.reread()
    assert live.current == before
    assert live.reread() == ()


def test_what_is_settled_at_the_start_is_told_and_waits_for_the_next(file):
    live = LiveSettings(file, {})
    touched(file, file.read_text().replace('"w"', '"v"'))
    (said,) = live.reread()
    assert "next start" in said
    assert live.current.name == "w"
    with pytest.raises(SettingsError, match="restart"):
        live.set("backend", "a1111", save=False)
    live.set("backend", "a1111", save=True)
    assert (live.current.backend, settings_file.read(file)["backend"]) == ("procedural", "a1111")
    assert set(KEYS) >= AT_START


def images(can: Abilities) -> Images:
    """The craft of drawing with a backend that can do this."""

    class Backend:
        confession = "draws nothing"
        abilities = can

    return Images(Backend())  # type: ignore[arg-type]


def test_no_more_is_offered_than_the_backend_can():
    settings = Settings(name="w", lora=True, features=("LCM", "TILING"), img2img=True)
    craft = images(Abilities(models=("m",), features=frozenset({"LCM"}), painting=True))
    assert craft.beyond(settings) == ("lora", "TILING")
    image = craft.offered(settings).as_input()["image"]
    assert (image["models"], image["allowImg2img"], image["features"]) == (["m"], False, ["LCM"])
    assert not {"allowLora", "allowPainting"} & set(image), "what is usual is not sent"


def test_every_capability_reaches_the_poll():
    everything = frozenset({"HIRES_FIX"})
    can = Abilities(
        post_processing=True, img2img=True, painting=True, lora=True, controlnet=True, features=everything
    )
    settings = Settings(
        name="w",
        img2img=False,
        painting=False,
        lora=True,
        controlnet=True,
        sdxl_controlnet=True,
        unsafe_addresses=False,
        trusted_requesters_only=True,
        require_upfront_kudos=True,
        limit_max_steps=True,
        extra_slow=True,
        priority_users=("ann#7",),
        test_mode=True,
        wait_seconds=5,
    )
    wish = images(can).offered(settings).as_input()
    assert wish["waitSeconds"] == 5
    shown = {key: value for key, value in wish["image"].items() if key.startswith(("allow", "features"))}
    assert shown == {
        "allowPostProcessing": True,
        "allowImg2img": False,
        "allowPainting": False,
        "allowLora": True,
        "allowControlnet": True,
        "allowSdxlControlnet": True,
        "allowUnsafeAddress": False,
        "features": ["HIRES_FIX"],
    }
    assert wish["image"]["priorityUsers"] == ["ann#7"]
    usual = ("trustedRequestersOnly", "requireUpfrontKudos", "limitMaxSteps", "extraSlow", "testMode")
    assert all(wish["image"][name] is True for name in usual)
