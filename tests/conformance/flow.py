"""A job from registration to its picture, by the public Python client `gql`: HTTP for what is asked, WebSocket to watch.

Usage: `python tests/conformance/flow.py URL`, the worker owner's key in `HOARD_API_KEY`. An exception is a failure.
"""

import asyncio
import io
import os
import sys
from typing import Any
from uuid import uuid4

import aiohttp
from gql import Client, GraphQLRequest, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.websockets import WebsocketsTransport
from PIL import Image

REGISTER = """mutation($input: RegisterUserInput!) { registerUser(input: $input) {
  ... on RegisterUserSuccess { apiKey } ... on UserError { code message } } }"""
SUBMIT = """mutation($input: SubmitImageJobInput!) { submitImageJob(input: $input) {
  ... on SubmitImageJobSuccess { job { id } accessKey } ... on UserError { code message } } }"""
POP = """mutation($input: PopJobInput!) { popJob(input: $input) {
  ... on ImageAssignment { leaseId generations { id uploadUrl } } ... on UserError { code message } } }"""
DELIVER = """mutation($input: SubmitResultInput!) { submitResult(input: $input) {
  ... on SubmitResultSuccess { reward } ... on UserError { code message } } }"""
WATCH = """subscription($id: ID!) { jobUpdated(id: $id) {
  state ... on ImageJob { generations { imageUrl } } } }"""


async def call(url: str, key: str | None, document: str, given: dict[str, Any]) -> dict[str, Any]:
    """The result of a mutation, the document checked against the schema that the server tells."""
    headers = {} if key is None else {"apikey": key}
    transport = AIOHTTPTransport(url=url, headers=headers, ssl=False)
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        answer = await session.execute(GraphQLRequest(document, variable_values={"input": given}))
    result: dict[str, Any] = next(iter(answer.values()))
    if "code" in result:
        raise AssertionError(result)
    return result


async def work(url: str, model: str, body: bytes) -> None:
    """Serve the job of a model with a picture."""
    key = os.environ["HOARD_API_KEY"]
    named = {"workerName": f"conformance py {uuid4().hex[:8]}", "image": {"models": [model]}}
    taken = await call(url, key, POP, named)
    (task,) = taken["generations"]
    async with (
        aiohttp.ClientSession() as session,
        session.put(task["uploadUrl"], data=body, skip_auto_headers=["Content-Type"]) as answer,
    ):
        answer.raise_for_status()
    results = [{"generationId": task["id"], "state": "OK"}]
    await call(url, key, DELIVER, {"leaseId": taken["leaseId"], "results": results})


async def main(url: str) -> str:
    """The whole flow; what was seen of it."""
    drawn = io.BytesIO()
    Image.new("RGB", (512, 512), "teal").save(drawn, "WEBP")
    user = await call(url, None, REGISTER, {"username": "conformance", "idempotencyKey": str(uuid4())})
    model = f"conformance {uuid4()}"
    job = await call(url, user["apiKey"], SUBMIT, {"prompt": "a lighthouse", "models": [model]})
    transport = WebsocketsTransport(
        url=url.replace("http", "ws", 1), init_payload={"apikey": user["apiKey"]}, subprotocols=None
    )
    states: list[str] = []
    shown: dict[str, Any] = {}
    async with Client(transport=transport, fetch_schema_from_transport=False) as session:
        watch = gql(WATCH)
        watch.variable_values = {"id": job["job"]["id"]}
        async for payload in session.subscribe(watch):
            shown = payload["jobUpdated"]
            states.append(shown["state"])
            if len(states) == 1:
                await work(url, model, drawn.getvalue())
    if shown["state"] != "DONE":
        raise AssertionError(states)
    async with aiohttp.ClientSession() as http, http.get(shown["generations"][0]["imageUrl"]) as answer:
        if await answer.read() != drawn.getvalue():
            raise AssertionError("another picture")
    return f"{' -> '.join(states)}, the picture is the one uploaded"


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1])))
