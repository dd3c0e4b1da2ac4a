"""`hoard user withdraw|export|erase`: what an operator does for a person who asks. It joins the commands of slices.

Everything may be stopped anywhere and run again. Look next: `app.privacy`, docs/privacy.md.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click
import msgspec
import psycopg

from app.accounts import treasury
from app.accounts.authentication import BELIEF_SECONDS
from app.accounts.decider import RULES as ACCOUNTS
from app.accounts.decider import SetPublicProfile, SetPublicWorkers
from app.accounts.people import find_subject
from app.accounts.treasury import SetAllowance
from app.jobs.decider import RULES as JOBS
from app.jobs.decider import CancelJob, WithdrawAllConsent
from app.platform.commands import Command, Rejection, Request
from app.platform.ids import new_id
from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from app.platform.terminal import (
    WrongError,
    database,
    json_option,
    one_line_errors,
    print_json,
    settings_from_environment,
    writing,
)
from app.platform.writer import Writer
from app.privacy.ending import Running
from app.privacy.erasing import Eraser
from app.privacy.exporting import lines_about
from app.teams.decider import RULES as TEAMS
from app.teams.decider import DeleteTeam
from app.webhooks.decider import RULES as WEBHOOKS
from app.webhooks.decider import DeleteWebhook
from app.workers.lease_decider import RULES as LEASES
from app.workers.lease_decider import ReleaseLease
from app.workers.steering_decider import RULES as STEERING
from app.workers.steering_decider import DeleteWorker
from events.accounts import AllowanceSource
from events.base import ANONYMOUS

_RULES: Final = (
    *ACCOUNTS,
    *treasury.RULES,
    *JOBS,
    *LEASES,
    *STEERING,
    *TEAMS,
    *WEBHOOKS,
)
#: how often what is running is ended again: somebody may begin something in the moment in which keys are forgotten
_ROUNDS: Final = 10


class Ended(msgspec.Struct, frozen=True):
    """What was ended before words were erased."""

    cancelled: int
    leases: int
    withdrawn: int
    workers: int
    teams: int
    webhooks: int


class _House:
    """One user, the writer and what is read, for the time of a command."""

    def __init__(
        self, connection: psycopg.Connection[Any], settings: Settings, writer: Writer, user: UUID
    ) -> None:
        self.user = user
        self.running = Running(connection, settings.realm, user)
        self._writer = writer

    def ask(self, command: Command) -> Any:
        """Have a command carried out. Raises `WrongError` where it is refused."""
        outcome = self._writer.execute_sync(Request(command, new_id()))
        if isinstance(outcome, Rejection):
            raise WrongError(outcome.message)
        return outcome.result

    def withdraw(self) -> int:
        """Take back the consent to share everything; of how many jobs."""
        count = 0
        while jobs := self.running.shared_jobs():
            count += self.ask(WithdrawAllConsent(requester=self.user, jobs=tuple(jobs))).jobs
        return count

    def end(self) -> Ended:
        """End everything that is running, by the commands by which its owner would."""
        self.ask(SetPublicProfile(user=self.user, public=False))
        self.ask(SetPublicWorkers(user=self.user, public=False))
        self.ask(SetAllowance(user=self.user, amount=0, source=AllowanceSource.MANUAL))
        return Ended(
            cancelled=self._cancel(),
            leases=self._release(),
            withdrawn=self.withdraw(),
            workers=self._delete_workers(),
            teams=self._dissolve(),
            webhooks=self._delete_webhooks(),
        )

    def _cancel(self) -> int:
        count = 0
        while jobs := self.running.open_jobs():
            for job in jobs:
                self.ask(CancelJob(job=job))
            count += len(jobs)
        return count

    def _release(self) -> int:
        """After the cancellation: what is given back is not handed out again, and every hold ends."""
        count = 0
        while leases := self.running.live_leases():
            for lease, owner in leases:
                self.ask(ReleaseLease(lease=lease, owner=owner))
            count += len(leases)
        return count

    def _delete_workers(self) -> int:
        count = 0
        while workers := self.running.workers():
            for worker in workers:
                self.ask(
                    DeleteWorker(
                        worker=worker.id,
                        by=self.user,
                        owner=self.user,
                        team=worker.team,
                        leases=(),
                        messages=worker.messages,
                    )
                )
            count += len(workers)
        return count

    def _dissolve(self) -> int:
        """Others' workers may come and go meanwhile."""
        count = 0
        for _ in range(_ROUNDS):
            if not (teams := self.running.teams()):
                break
            for team in teams:
                with contextlib.suppress(WrongError):
                    self.ask(DeleteTeam(team=team.id, by=self.user, workers=team.workers))
                    count += 1
        return count

    def _delete_webhooks(self) -> int:
        webhooks = self.running.webhooks()
        for webhook in webhooks:
            with contextlib.suppress(WrongError):  # deleted, and its address left by a run that died
                self.ask(DeleteWebhook(webhook=webhook, owner=self.user))
        return len(webhooks)


@contextlib.contextmanager
def _house(settings: Settings, text: str) -> Iterator[tuple[_House, psycopg.Connection[Any]]]:
    with writing(settings, _RULES) as writer, database(settings.database_url) as connection:
        user = _registered(connection, settings, text)
        yield _House(connection, settings, writer, user), connection


def _registered(connection: psycopg.Connection[Any], settings: Settings, text: str) -> UUID:
    """The user of a name or id. Raises `WrongError` where there is none, or it is the anonymous one."""
    user = find_subject(connection, settings.realm, text)
    if user is None:
        raise WrongError(f"no such user: {text}")
    if user == ANONYMOUS:
        raise WrongError(
            "the anonymous user is everybody without an account: nothing of theirs can be told apart"
        )
    return user


@click.group("user")
def user_group() -> None:
    """What a person may ask of the house: their data, an end to sharing, to be forgotten."""


@user_group.command("withdraw")
@click.argument("user")
@json_option
@one_line_errors
def withdraw_command(user: str, *, as_json: bool) -> None:
    """Take back the consent to share everything of USER (name#number, or an id); actors remove the pictures."""
    with _house(settings_from_environment(), user) as (house, _):
        jobs = house.withdraw()
    if as_json:
        print_json({"user": house.user, "jobs": jobs})
    else:
        click.echo(f"{jobs} jobs of {user} are shared no longer; actors remove what was published")


@user_group.command("export")
@click.argument("user")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A new file of JSON lines, or a folder that gets one named by the user's id.",
)
@json_option
@one_line_errors
def export_command(user: str, out: Path, *, as_json: bool) -> None:
    """Write everything that is kept about USER (name#number, or an id) as JSON lines; secrets are left out."""
    settings = settings_from_environment()
    with database(settings.database_url) as connection:
        subject = _registered(connection, settings, user)
        target = out / f"{subject}.jsonl" if out.is_dir() else out
        if target.exists():
            raise click.UsageError(f"{target} is there already")
        unfinished = target.with_name(f".{target.name}.part")
        count = 0
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600)
        with unfinished.open("wb") as file:
            for line in lines_about(connection, settings.realm, subject):
                file.write(line + b"\n")
                count += 1
        unfinished.replace(target)
    if as_json:
        print_json({"user": subject, "file": str(target), "lines": count})
    else:
        click.echo(f"{target}: {count} lines about {user}")


@user_group.command("erase")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@one_line_errors
def erase_command(user: str, *, yes: bool, as_json: bool) -> None:
    """Forget USER (name#number, or an id): end all that runs, withdraw all that is shared, erase every word.

    The account cannot be used again and its kudos are lost. The public log keeps what the random id did. Run it again
    if it was stopped: by the id, if the name is forgotten already.
    """
    settings = settings_from_environment()
    with _house(settings, user) as (house, connection):
        if not yes:
            click.confirm(f"erase {user} ({house.user}) for good?", abort=True, err=True)
        eraser = Eraser(
            connection,
            settings.realm,
            ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region),
            settings.bucket_results,
            settings.bucket_sources,
        )
        keys = eraser.lock_out(house.user)
        if keys:
            time.sleep(BELIEF_SECONDS)  # servers believe for so long what they read about a key
        ended = house.end()
        erased = eraser.erase(house.user)
    if as_json:
        told = {"user": house.user, "ended": msgspec.structs.asdict(ended), "erased": erased}
        print_json({**told, "keys": keys})
        return
    click.echo(f"{house.user}: {keys + sum(erased.values())} rows erased; {_told(ended)}")
    click.echo("actors remove what was published, and rewrite the releases in the bucket")


def _told(ended: Ended) -> str:
    return ", ".join(f"{count} {name}" for name, count in msgspec.structs.asdict(ended).items())
