"""Leases of many owners run out in a minute without a delivery: an outage. A delivery, or few owners, and it is none."""

from typing import Any
from uuid import uuid4

import psycopg

from app.platform.settings import Settings
from app.platform.writer import Writer
from app.relay.outage import MANY_OWNERS, Outage
from tests.factories import check_in, deliver, grant, open_realm, pop, register, run, submit


def test_many_owners_and_no_delivery_are_an_outage(
    database: Settings, writer: Writer, application: psycopg.Connection[Any]
) -> None:
    open_realm(writer)
    alice, bob, worker, job, generation, lease = (uuid4() for _ in range(6))
    for command in (register(alice), register(bob), grant(alice, 10_000), check_in(worker, bob)):
        run(writer, command)
    realm, outage = database.realm, Outage()
    for _ in range(MANY_OWNERS - 1):
        assert not outage.seen(application, realm, {uuid4()}), "few owners"
    assert outage.seen(application, realm, {uuid4()})

    run(writer, submit(alice, job=job, generations=(generation,)))
    run(writer, pop(worker, bob, lease=lease))
    assert outage.seen(application, realm, {uuid4()})
    run(writer, deliver(lease, bob, generation))
    assert not outage.seen(application, realm, {uuid4()}), "somebody delivered: the server was reached"
