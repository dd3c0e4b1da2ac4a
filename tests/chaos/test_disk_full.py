"""A disk that is really full, under everything or under storage: typed refusals, nothing half done, and on once there is room."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.embedded.stack import EmbeddedStack
from app.platform.settings import Settings
from tests.acceptance.horde import final, picture, refused, submit, transfer, upload
from tests.acceptance.processes import eventually, run_cli
from tests.chaos.small_disk import SmallDisk
from tests.chaos.world import World


@pytest.mark.slow
def test_a_full_disk_under_everything(tmp_path: Path) -> None:
    """The database and Valkey on one disk: first tables cannot grow, then the database's own log cannot."""
    with contextlib.ExitStack() as running:
        disk = running.enter_context(SmallDisk(tmp_path / "disk"))
        (tmp_path / "objects").mkdir()
        (disk.folder / "seaweedfs").symlink_to(tmp_path / "objects")
        stack = EmbeddedStack(disk.folder)
        settings = Settings.from_env(stack.start())
        running.callback(stack.stop)
        world = running.enter_context(World(tmp_path, stack, settings))
        user, worker = world.horde.register("user", "100"), world.horde.register("owner").worker("m")
        user.submit(models=["m"])
        before = world.rows("SELECT max(position) FROM log.event")

        disk.fill()
        key = ""
        with refused("TRY_AGAIN"):
            for number in range(500):
                key = f"key {number}"
                submit(user.api, models=["m"], share=True, idempotencyKey=key)
        assert user.me()["id"] == user.id, "what only reads goes on"
        with contextlib.suppress(psycopg.Error), world.owner() as owner:
            while True:  # its log needs a new file, and there is no room for one
                owner.execute("SELECT pg_switch_wal(), pg_logical_emit_message(true, 'chaos', 'x')")
        eventually(lambda: not stack.lives("postgres"), 30, "the database gives up")
        disk.free()
        stack.restart("postgres")
        eventually(world.apis[0].health, 30, "ready again")
        first, again = (submit(user.api, models=["m"], share=True, idempotencyKey=key) for _ in range(2))
        assert first.id == again.id
        assert world.rows("SELECT max(position) FROM log.event") > before
        while (taken := worker.pop())["__typename"] != "NoJob":
            worker.deliver(taken)
        assert final(first)["state"] == "DONE"
        eventually(
            lambda: first.now()["generations"][0]["sha256"], 60, "Valkey and actors go on by themselves"
        )
        run_cli("log", "verify", variables=world.variables)
        run_cli("projections", "verify", variables=world.variables)
        assert not [said for said in world.said().values() if "command_raised" in said]


@pytest.mark.slow
def test_a_full_disk_under_storage(tmp_path: Path) -> None:
    with contextlib.ExitStack() as running:
        disk = running.enter_context(SmallDisk(tmp_path / "data" / "seaweedfs"))
        stack = EmbeddedStack(tmp_path / "data")
        settings = Settings.from_env(stack.start())
        running.callback(stack.stop)
        world = running.enter_context(World(tmp_path, stack, settings))
        user, worker = world.horde.register("user", "100"), world.horde.register("owner").worker("m")
        user.submit(models=["m"])
        worker.serve()  # storage makes its files when they are first needed
        uploaded, late = user.submit(models=["m"], share=True), user.submit(models=["m"], share=True)
        first, second = worker.take(), worker.take()
        upload(first["generations"][0])
        data = picture(512, 512, "PNG")

        disk.fill()
        link = second["generations"][0]["uploadUrl"]
        assert transfer("PUT", link, data)[0] == 500, "whoever uploads is told, and tries again"
        worker.report(first["leaseId"], ok(first))
        assert final(uploaded)["state"] == "DONE", "what is there can be delivered"
        with refused("OBJECT_MISSING"):
            worker.report(second["leaseId"], ok(second))
        eventually(
            lambda: "StorageUnavailableError" in world.processes["actors"].said(),
            30,
            "it cannot be published",
        )
        assert uploaded.now()["generations"][0]["sha256"] is None

        disk.free()
        eventually(lambda: transfer("PUT", link, data)[0] == 200, 60, "there is room again")
        worker.report(second["leaseId"], ok(second))
        assert final(late)["state"] == "DONE"
        for job in (uploaded, late):
            eventually(lambda job=job: job.now()["generations"][0]["sha256"], 60, "it is published")
        assert len(world.shared()) == 4


def ok(taken: Mapping[str, Any]) -> dict[str, str]:
    """The report that the first generation of a lease was made."""
    return {"generationId": taken["generations"][0]["id"], "state": "OK"}
