"""How a client of the soak calls: again and again, with the same idempotency key, until any API process answers.

The same as `tests/chaos/crowd.py` for one loop with two hundred callers. Subscriptions end when their process is
killed; whoever listens goes on at another. Look next: `tests/soak/people.py`.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import aiohttp

from tests.acceptance.wires import USER_ERROR
from tests.chaos.crowd import AGAIN, PATIENCE, Ledger

#: how often an answer is taken to be lost on its way: the same call is made once more
LOST = 0.1
#: what happens to a connection whose process is killed
BROKEN = (aiohttp.ClientError, OSError, TimeoutError, ValueError)
_JOB = "{ job { id } accessKey position }"
_SELECTIONS = {
    "submitImageJob": f"... on SubmitImageJobSuccess {_JOB}",
    "submitTextJob": f"... on SubmitTextJobSuccess {_JOB}",
    "submitInterrogationJob": f"... on SubmitInterrogationJobSuccess {_JOB}",
    "transferKudos": "... on TransferKudosSuccess { position }",
    "cancelJob": "... on CancelJobSuccess { job { state } position }",
    "withdrawConsent": "... on WithdrawConsentSuccess { position }",
    "createUpload": "... on CreateUploadSuccess { upload { id url } }",
}


class Caller:
    """Somebody with a key (or none) who knows several API processes."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        urls: Sequence[str],
        key: str | None,
        ledger: Ledger,
        chance: random.Random,
    ) -> None:
        self.session, self.urls, self.key, self.ledger, self.chance = session, urls, key, ledger, chance

    def once(self) -> str:
        """A new idempotency key."""
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def headers(self, accept: str) -> dict[str, str]:
        made = {"Content-Type": "application/json", "Accept": accept}
        return made if self.key is None else made | {"apikey": self.key}

    async def call(self, mutation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a mutation, which may be a refusal, but none that means "try again"."""
        result = await self._call(mutation, given)
        if "idempotencyKey" in given and self.chance.random() < LOST:
            self.ledger.hear("(answers lost)")
            again = await self._call(mutation, given)
            same = again.get("position") == result.get("position")
            assert same or "position" not in result, (mutation, result, again)
            return again
        return result

    async def _call(self, mutation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        name = mutation[0].upper() + mutation[1:]
        chosen = f"{{ __typename {_SELECTIONS[mutation]} {USER_ERROR} }}"
        document = f"mutation($input: {name}Input!) {{ {mutation}(input: $input) {chosen} }}"
        result: dict[str, Any] = (await self.ask(document, {"input": given}))[mutation]
        if code := result.get("code"):
            self.ledger.hear(code)
        return result

    async def ask(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data of an operation. Raises AssertionError if nobody answers it well for long."""
        body = json.dumps({"query": document, "variables": variables})
        deadline, last = time.monotonic() + PATIENCE, ""
        while time.monotonic() < deadline:
            try:
                headers = self.headers("application/graphql-response+json")
                async with self.session.post(
                    self.chance.choice(self.urls), data=body, headers=headers
                ) as said:
                    answer = await said.json(content_type=None)
            except BROKEN as error:
                last = type(error).__name__
            else:
                data = answer.get("data") or {}
                codes = [str(e.get("extensions", {}).get("code")) for e in answer.get("errors", ())]
                first = next(iter(data.values()), None)
                code = first.get("code") if isinstance(first, dict) else None
                if not codes and code not in AGAIN:
                    return dict(data)
                last = str(code or " ".join(codes))
                assert set(codes) <= {"TRY_AGAIN", "INTERNAL", "STORAGE_UNAVAILABLE", "UNAVAILABLE"}, answer
            self.ledger.hear(last)
            await asyncio.sleep(0.3 + self.chance.random())
        raise AssertionError(f"not answered within {PATIENCE} s: {last}: {document[:60]}")

    @contextlib.asynccontextmanager
    async def listen(
        self, document: str, variables: Mapping[str, Any], *, socket: bool
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The payloads of a subscription, by WebSocket or event stream. Raises one of `BROKEN` when it is cut."""
        asked = {"query": document, "variables": variables}
        url = self.chance.choice(self.urls)
        async with contextlib.AsyncExitStack() as stack:
            if socket:
                upgrade = self.session.ws_connect(url, protocols=("graphql-transport-ws",), max_msg_size=0)
                wire = await stack.enter_async_context(upgrade)
                yield self._frames(wire, asked)
            else:
                patience = aiohttp.ClientTimeout(total=None, sock_read=60)
                headers = self.headers("text/event-stream")
                request = self.session.post(url, data=json.dumps(asked), headers=headers, timeout=patience)
                stream = await stack.enter_async_context(request)
                if stream.status != 200:
                    raise OSError(f"an event stream was answered {stream.status}")
                yield self._events(stream)

    async def _frames(
        self, wire: aiohttp.ClientWebSocketResponse, asked: Mapping[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        payload = {} if self.key is None else {"apikey": self.key}
        await wire.send_json({"type": "connection_init", "payload": payload})
        while True:
            message = await wire.receive(60)
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise OSError(f"the socket was closed: {message.type}")
            said = json.loads(message.data)
            if said["type"] == "connection_ack":
                await wire.send_json({"id": "1", "type": "subscribe", "payload": asked})
            elif said["type"] == "ping":
                await wire.send_json({"type": "pong"})
            elif said["type"] == "next":
                yield said["payload"]
            elif said["type"] == "error":
                yield {"errors": said["payload"]}
            elif said["type"] == "complete":
                return

    async def _events(self, stream: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
        event, data = "", ""
        while line := await stream.content.readline():
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                event = text[7:]
            elif text.startswith("data: "):
                data = text[6:]
            elif not text and event == "complete":
                return
            elif not text and event == "next":
                yield json.loads(data)
                event = data = ""
        raise OSError("the event stream ended without a farewell")
