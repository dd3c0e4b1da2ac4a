"""Several reference workers in one process: the code of `clients.worker`, one task a worker, on the CPU.

`python -m tests.soak.crew PLAN`: the plan is a JSON file with each worker's settings and key, and where to note what
the server acknowledged. A result that was acknowledged is a line there before anything else is done with it, so it is
known even if the process is killed in the next moment. Look next: `clients/worker/loop.py`, `tests/soak/town.py`.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TextIO

import aiohttp

from clients.api import Api, RefusedError, endpoint
from clients.worker.choosing import craft_of
from clients.worker.loop import Worker
from clients.worker.service import REQUEST_SECONDS
from clients.worker.settings import Settings, checked

#: seconds after which a worker that was refused asks again
REFUSED_PAUSE = 5.0


def say(line: str) -> None:
    """One line of the crew's log."""
    print(line, flush=True)  # noqa: T201 - the process's output is its log


class Noting(Api):
    """The reference client's connection, which notes what was acknowledged of results."""

    notes: TextIO

    async def mutate(
        self, document: str, wish: Mapping[str, Any], field: str, *, keyed: bool = True
    ) -> dict[str, Any]:
        """As the reference client's."""
        answer = await super().mutate(document, wish, field, keyed=keyed)
        if field == "submitResult":
            asked = {each["generationId"]: each["state"] for each in wish["results"]}
            for each in answer["results"]:
                fact = {"lease": wish["leaseId"], "generation": each["generationId"], "state": each["state"]}
                self.notes.write(json.dumps(fact | {"asked": asked.get(each["generationId"])}) + "\n")
            self.notes.flush()
        return answer


async def one(settings: Settings, key: str, notes: TextIO, stop: asyncio.Event) -> None:
    """The life of one worker."""
    craft = craft_of(settings)
    await craft.prepare()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(craft.close)
        api = Noting(endpoint(settings.url), key, agent="hoard-worker", request_seconds=REQUEST_SECONDS)
        api.notes = notes
        await stack.enter_async_context(api)
        storage = await stack.enter_async_context(aiohttp.ClientSession())
        while not stop.is_set():
            worker = Worker(api, storage, craft, craft.offered(settings), say=lambda line: None)
            try:
                await worker.run(stop)
            except RefusedError as refusal:
                say(f"refused {settings.name}: {refusal.code}: {refusal.message}")
                await asyncio.sleep(REFUSED_PAUSE)


async def crew(plan: Mapping[str, Any], notes: TextIO) -> None:
    """All of them, until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await asyncio.gather(
        *(one(checked(each["settings"]), each["key"], notes, stop) for each in plan["workers"])
    )
    say("stopped")


def main() -> None:
    """The plan of the command line."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with Path(plan["notes"]).open("a", encoding="utf-8") as notes:
        asyncio.run(crew(plan, notes))


if __name__ == "__main__":
    main()
