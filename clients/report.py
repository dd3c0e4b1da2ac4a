"""What `hoard generate` tells its user: progress on standard error, the outcome on standard output.

On a terminal the progress is one line that changes; elsewhere a line per change.
"""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from clients.api import RefusedError
from clients.shapes import Caution, Generation, JobView, Quoted, Submitted

#: Generations in these states change no more.
SETTLED = frozenset({"DONE", "CENSORED", "FAULTED", "CANCELLED"})


class Report:
    """Speaks to the user during one call, and sums up at its end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._terminal = sys.stderr.isatty() and not as_json
        self._line = ""
        self._warnings: list[Caution] = []
        self._paths: dict[str, Path] = {}

    def note(self, text: str) -> None:
        """A plain line."""
        self._end_line()
        click.echo(text, err=True)

    def quoted(self, answer: Quoted) -> None:
        """What it will cost at most."""
        items = ", ".join(f"{item.label} {item.amount}" for item in answer.quote.items)
        self.note(f"costs at most {answer.quote.total} kudos" + (f" ({items})" if items else ""))

    def submitted(self, answer: Submitted) -> None:
        """The job's id and the server's warnings."""
        self._warnings = list(answer.warnings)
        for warning in answer.warnings:
            self.note(f"warning: {warning.message} [{warning.code}]")
        self.note(f"job {answer.job.id}")

    def progress(self, job: JobView) -> None:
        """The job's state, if its line differs from the last."""
        line = progress_line(job)
        if line == self._line:
            return
        if self._terminal:
            click.echo("\r\x1b[K" + line, err=True, nl=False)
        else:
            click.echo(line, err=True)
        self._line = line

    def saved(self, generation: Generation, path: Path) -> None:
        """A picture is in its place."""
        self._paths[generation.id] = path

    def refused(self, refusal: RefusedError) -> None:
        """The server said no: code, message and the place in the input."""
        error = {"code": refusal.code, "message": refusal.message, "path": list(refusal.path)}
        self._error(error, f"{refusal.code}: {refusal.message}", ".".join(refusal.path))

    def failed(self, code: str, message: str) -> None:
        """It did not come to an end."""
        self._error({"code": code, "message": message, "path": []}, f"{code}: {message}", "")

    def conclude(self, job: JobView, access_key: str) -> bool:
        """The outcome; whether every picture that was asked for is there."""
        self._end_line()
        if self._as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(self._document(job, access_key))).decode())
        else:
            self._sum_up(job)
        made = [each for each in job.generations if each.state in ("DONE", "CENSORED")]
        unsaved = [each for each in made if each.state == "DONE" and each.id not in self._paths]
        return job.state == "DONE" and len(made) == len(job.generations) and not unsaved

    def _sum_up(self, job: JobView) -> None:
        for generation in job.generations:
            path = self._paths.get(generation.id)
            made_by = f"{generation.model or 'unknown model'} on {generation.worker_name or 'unknown worker'}"
            what = f"{path}  (seed {generation.seed}, {made_by})" if path else f"{generation.id}  no picture"
            click.echo(f"{what}" if path else f"{what}: {generation.state}")
        click.echo(f"{job.state}, cost {job.charged} kudos of at most {job.quote.total}")

    def _document(self, job: JobView, access_key: str) -> dict[str, Any]:
        return {
            "job": job.id,
            "accessKey": access_key,
            "state": job.state,
            "charged": job.charged,
            "quote": job.quote,
            "warnings": self._warnings,
            "pictures": [
                {"path": str(path) if (path := self._paths.get(each.id)) else None, **_plain(each)}
                for each in job.generations
            ],
        }

    def _error(self, document: dict[str, Any], text: str, path: str) -> None:
        self._end_line()
        if self._as_json:
            click.echo(msgspec.json.format(msgspec.json.encode({"error": document})).decode())
        else:
            click.echo(text + (f" (at {path})" if path else ""), err=True)

    def _end_line(self) -> None:
        if self._terminal and self._line:
            click.echo("", err=True)
        self._line = ""


def progress_line(job: JobView) -> str:
    """The job's state in a few words."""
    settled = sum(each.state in SETTLED for each in job.generations)
    drawn = sum(each.state == "PROCESSING" for each in job.generations)
    parts = [job.state.lower(), f"{settled} of {len(job.generations)} done"]
    if drawn:
        parts.append(f"{drawn} being drawn")
    if job.queue_position is not None:
        parts.append(f"place {job.queue_position} in the queue")
    if job.estimated_wait_seconds is not None and not job.ended:
        parts.append(f"about {job.estimated_wait_seconds} s to go")
    return ", ".join(parts)


def _plain(generation: Generation) -> dict[str, Any]:
    """A generation without its link, which is of no use for long."""
    return {
        "generation": generation.id,
        "state": generation.state,
        "seed": generation.seed,
        "model": generation.model,
        "worker": generation.worker_name,
        "sha256": generation.sha256,
    }
