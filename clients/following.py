"""Watching a job until it ends: by subscription, or by asking again and again where no WebSocket gets through.

A lost subscription is made anew; what was missed in between is in the next state, since each state is complete.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from clients import documents
from clients.api import Api, RefusedError, UnexpectedAnswerError, UnreachableError
from clients.shapes import JobView, shaped


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """How a job is watched."""

    #: Seconds between two looks when there is no subscription.
    every: float = 2.0
    #: Subscriptions lost in a row without one state before giving them up.
    losses: int = 3


#: What a user's own call keeps to.
WATCH = Watch()


async def look(api: Api, job_id: str, access_key: str) -> JobView:
    """The job's present state. Raises RefusedError if it does not exist (any more), or as `Api.query` does."""
    value = await api.query(documents.JOB, {"id": job_id, "accessKey": access_key}, "job")
    if value is None:
        raise RefusedError("NOT_FOUND", "the job does not exist, or not for this key")
    return shaped(value, JobView)


async def follow(api: Api, job_id: str, access_key: str, watch: Watch) -> AsyncGenerator[JobView]:
    """Every state of the job that can be had, the one in which it ended last.

    Raises RefusedError or UnreachableError.
    """
    lost = 0
    while True:
        if lost < watch.losses:
            try:
                async with aclosing(_subscribed(api, job_id, access_key)) as states:
                    async for state in states:
                        lost = 0
                        yield state
                        if state.ended:
                            return
            except (UnreachableError, UnexpectedAnswerError):
                pass
            lost += 1
        state = await look(api, job_id, access_key)
        yield state
        if state.ended:
            return
        await asyncio.sleep(watch.every)


async def _subscribed(api: Api, job_id: str, access_key: str) -> AsyncGenerator[JobView]:
    variables = {"id": job_id, "accessKey": access_key}
    async with aclosing(api.subscribe(documents.JOB_UPDATED, variables, "jobUpdated")) as values:
        async for value in values:
            yield shaped(value, JobView)
