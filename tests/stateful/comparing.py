"""The live tables beside the model: every row, in words that a reader can compare.

Knows the names of columns, the bits of requirements, and nothing else of the program. Look next: `model.py`, `world.py`.
"""

from __future__ import annotations

from typing import Any

from events.operations import HOUSE
from projections.queue import requirement_mask
from tests.stateful.checks import LogChecks
from tests.stateful.model import NAMES, Job, Lease, Model, User, Worker
from tests.stateful.rules.rated import Judge, Shown, Task
from tests.stateful.rules.shapes import Hook
from tests.stateful.rules.wishes import CONTEXT

#: rows by id
Rows = dict[str, dict[str, Any]]


def differences(model: Model, rows: dict[str, list[Any]], checks: LogChecks) -> list[str]:
    """What is otherwise than the model says, a line each; the accountant's books are asked as well."""
    found: list[str] = []
    for name, expected in _expected(model).items():
        live: Rows = {str(row.id): _live(row) for row in rows[name]}
        for key in sorted(expected.keys() | live.keys()):
            said, stands = expected.get(key, {}), live.get(key, {})
            found += [
                f"{name} {key}: {column} is {stands.get(column)}, the model says {said.get(column)}"
                for column in said | stands
                if said.get(column) != stands.get(column)
            ]
    books = checks.books
    for user in model.users:
        stood = {
            "balance": model.users[user].balance,
            "escrow": model.users[user].escrow,
            "held": model.held(user),
        }
        told = {"balance": books.balance[user], "escrow": books.escrow[user], "held": books.held(user)}
        for what, booked in told.items():
            stands = stood[what]
            if booked != stands:
                found.append(f"{what} of {user} is {stands}, the accountant says {booked}")
    return found


def _live(row: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in row._asdict().items()}


def _plain(value: Any) -> Any:
    """Ids and instants as text."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, bool | int | type(None)) else str(value)


def _expected(model: Model) -> dict[str, Rows]:
    jobs = model.jobs.values()
    return {
        "accounts": {str(key): _account(model, key, user) for key, user in model.users.items()},
        "jobs": {str(job.id): _job(job) for job in jobs},
        "generations": {key: row for job in jobs for key, row in _generations(job).items()},
        "leases": {str(lease.id): _lease(lease) for lease in model.leases.values()},
        "workers": {str(key): _worker(key, worker) for key, worker in model.workers.items()},
        "teams": {
            str(key): {
                "id": str(key),
                "creator": str(team.creator),
                "workers": len(model.members(key)),
                "deleted": team.deleted,
            }
            for key, team in model.teams.items()
        },
        "modes": _modes(model),
        "pictures": {str(key): _picture(key, picture) for key, picture in model.shown.items()},
        "ratings": {str(task.id): _task(task) for task in model.tasks.values()},
        "raters": {str(key): _judge(key, judge) for key, judge in model.judges.items()},
        "hooks": {str(key): _hook(key, hook) for key, hook in model.hooks.items()},
    }


def _modes(model: Model) -> Rows:
    """One row, of the house."""
    on = {name.lower(): name in model.modes for name in ("MAINTENANCE", "INVITE_ONLY", "RAID")}
    return {str(HOUSE): {"id": str(HOUSE), **on}}


def _hook(key: Any, hook: Hook) -> dict[str, Any]:
    return {
        "id": str(key),
        "owner": str(hook.owner),
        "events": sorted(hook.events),
        "active": hook.active,
        "suspended": hook.suspended,
        "rotations": hook.rotations,
    }


def _picture(key: Any, picture: Shown) -> dict[str, Any]:
    return {
        "id": str(key),
        "owner": _plain(picture.owner),
        "job": _plain(picture.job),
        "state": picture.state,
        "target": picture.target,
        "ratings": picture.ratings,
        "comparisons": picture.comparisons,
        "wanted": picture.wanted,
        "report": _plain(picture.case),
        "reporter": _plain(picture.reporter),
    }


def _task(task: Task) -> dict[str, Any]:
    return {
        "id": str(task.id),
        "rater": str(task.rater),
        "picture": str(task.picture),
        "other": _plain(task.other),
        "state": task.state,
        "expires_at": str(task.until),
        "again": task.again,
        "value": task.value,
        "artifacts": task.flaws,
        "preference": task.preference,
        "reward": task.reward,
        "suspect": task.suspect,
    }


def _judge(key: Any, judge: Judge) -> dict[str, Any]:
    return {
        "id": str(key),
        "given": judge.given,
        "with_artifacts": judge.with_flaws,
        "repeated": judge.repeated,
        "comparisons": judge.comparisons,
        "skipped": judge.skipped,
        "reported": judge.reported,
        "paid_today": judge.paid[1],
        "rewarded": judge.rewarded,
        "reversed": judge.reversed,
        "restored": judge.restored,
        "trusted": judge.trusted,
        "standing": judge.standing,
        "marked": judge.marked,
        "verdict": judge.verdict,
    }


def _account(model: Model, key: Any, user: User) -> dict[str, Any]:
    return {
        "id": str(key),
        "balance": user.balance,
        "escrow": user.escrow,
        "held": model.held(key),
        "consumed": user.consumed,
        "earned": user.earned,
        "uptime": user.uptime,
        "roles": sorted(user.roles),
        "waiting": model.waits(key, "IMAGE"),
        "waiting_forms": model.waits(key, "INTERROGATION"),
        "waiting_limit": user.limit,
        "workers": model.owns(key),
        "worker_limit": user.worker_limit,
        "public_workers": user.public_workers,
        "suspicions": user.suspicions,
        "distrusted": user.distrusted,
        "rated": user.rated,
        "rating_escrow": user.of_ratings,
    }


def _job(job: Job) -> dict[str, Any]:
    states = ("WAITING", "PROCESSING", "DONE", "CENSORED", "FAULTED", "CANCELLED")
    return {
        "id": str(job.id),
        "requester": str(job.requester),
        "kind": job.wish.kind,
        "state": job.state,
        **{state.lower(): job.count(state) for state in states},
        "held": job.held,
        "charged": job.charged,
        "price": job.wish.price,
        "surcharge": job.wish.surcharge,
        "tax": job.wish.tax,
        "mask": requirement_mask(job.needs),
        "allowed_workers": _plain(job.wish.only),
        "denied_workers": _plain(job.wish.denied),
        "fetching": job.fetching,
        "source_fault": job.refused,
        "shared": job.wish.shared,
        "active_at": str(job.touched),
        "ended": job.ended,
        "unshared": job.unshared,
        "withdrawing": job.withdrawing,
    }


def _generations(job: Job) -> Rows:
    made = {}
    for ordinal, generation in enumerate(job.generations):
        settled = generation.state in ("DONE", "CENSORED")
        first = next(iter(generation.paid), None)
        made[str(generation.id)] = {
            "id": str(generation.id),
            "job": str(job.id),
            "ordinal": ordinal,
            "form": generation.form,
            "reused": _plain(generation.reused),
            "state": generation.state,
            "lease": _plain(generation.lease),
            "failures": _plain(generation.failures),
            "barred": _plain(generation.barred),
            "reward": 0 if generation.reused else generation.paid[first] if settled and first else None,
            "redundant": [[str(lease), paid] for lease, paid in generation.paid.items() if lease != first],
            "version": generation.version,
            "sha256": generation.sha256,
            "withheld": generation.withheld,
            "report": generation.report,
        }
    return made


def _lease(lease: Lease) -> dict[str, Any]:
    return {
        "id": str(lease.id),
        "job": str(lease.job.id),
        "worker": str(lease.worker),
        "owner": str(lease.owner),
        "state": lease.state,
        "generations": [str(g.id) for g in lease.generations],
        "pending": [str(g.id) for g in lease.pending],
        "taken_at": str(lease.taken),
        "expires_at": str(lease.until),
        "price": lease.price,
        "surcharge": lease.surcharge,
    }


def _worker(key: Any, worker: Worker) -> dict[str, Any]:
    return {
        "id": str(key),
        "owner": str(worker.owner),
        "kind": worker.kind,
        "models": sorted(NAMES[model] for model in worker.models),
        "max_size": _most(worker),
        "allowed": requirement_mask(allows(worker)),
        "extra_slow": worker.extra_slow,
        "maintenance": worker.maintenance,
        "rests": worker.rests,
        "paused": worker.paused,
        "deleted": worker.deleted,
        "team": _plain(worker.team),
        "fulfilled": worker.fulfilled,
        "failed": worker.failed,
        "earned": worker.earned,
        "uptime": worker.uptime,
        "speed": worker.speed,
        "suspicions": worker.suspicions,
    }


def _most(worker: Worker) -> int:
    """The largest job that it holds."""
    match worker.kind:
        case "TEXT":
            return CONTEXT << 32 | worker.side
        case "INTERROGATION":
            return 1
        case _:
            return worker.side**2


def allows(worker: Worker) -> tuple[str, ...]:
    """What a worker says that it does, of which jobs of the machine need only some."""
    return (*worker.allows, "hires_fix", "tiling", "clip_skip", "unsafe_address", "many_steps")
