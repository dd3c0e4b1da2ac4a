"""What `hoard generate`, `write` and `interrogate` tell: progress on standard error, the outcome on standard output.

On a terminal the progress is one line that changes; elsewhere a line per change.
"""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from clients.api import RefusedError
from clients.pictures import makes_file
from clients.shapes import Caution, FormResult, Generation, JobView, Quoted, Submitted

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
        """A picture or a drawing is in its place."""
        self._paths[generation.id] = path

    def refused(self, refusal: RefusedError) -> None:
        """The server said no: code, message and the place in the input."""
        error = {"code": refusal.code, "message": refusal.message, "path": list(refusal.path)}
        self._error(error, f"{refusal.code}: {refusal.message}", ".".join(refusal.path))

    def failed(self, code: str, message: str) -> None:
        """It did not come to an end."""
        self._error({"code": code, "message": message, "path": []}, f"{code}: {message}", "")

    def conclude(self, job: JobView, access_key: str) -> bool:
        """The outcome; whether everything that was asked for is there."""
        self._end_line()
        if self._as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(self._document(job, access_key))).decode())
        else:
            self._sum_up(job)
        made = [each for each in job.generations if each.state in ("DONE", "CENSORED")]
        unsaved = [
            each
            for each in made
            if each.state == "DONE" and makes_file(job.kind, each) and each.id not in self._paths
        ]
        return job.state == "DONE" and len(made) == len(job.generations) and not unsaved

    def _sum_up(self, job: JobView) -> None:
        show = {"TEXT": self._written, "INTERROGATION": self._told}.get(job.kind, self._drawn)
        for generation in job.generations:
            click.echo(show(generation))
        cost = f"{job.state}, cost {job.charged} kudos of at most {job.quote.total}"
        # Texts and what was told are for the next program: the cost is not.
        click.echo(cost, err=job.kind != "IMAGE")

    def _drawn(self, generation: Generation) -> str:
        """Where a picture is."""
        path = self._paths.get(generation.id)
        made_by = f"{generation.model or 'unknown model'} on {generation.worker_name or 'unknown worker'}"
        if path is None:
            return f"{generation.id}  no picture: {generation.state}"
        return f"{path}  (seed {generation.seed}, {made_by})"

    def _written(self, generation: Generation) -> str:
        """A text itself; who wrote it is a note."""
        if generation.text is None:
            return f"{generation.id}  no text: {generation.state}"
        by = f"{generation.model or 'unknown model'} on {generation.worker_name or 'unknown worker'}"
        self.note(f"text {generation.id}: {generation.tokens} tokens, {by}")
        return generation.text

    def _told(self, generation: Generation) -> str:
        """What a form told, on one line."""
        told = generation.state if generation.result is None else in_words(generation.result)
        path = self._paths.get(generation.id)
        again = " (told before)" if generation.reused else ""
        return f"{generation.form}: {told if path is None else path}{again}"

    def _document(self, job: JobView, access_key: str) -> dict[str, Any]:
        what = {"TEXT": "texts", "INTERROGATION": "forms"}.get(job.kind, "pictures")
        return {
            "job": job.id,
            "accessKey": access_key,
            "state": job.state,
            "charged": job.charged,
            "quote": job.quote,
            "warnings": self._warnings,
            what: [self._entry(job.kind, each) for each in job.generations],
        }

    def _entry(self, kind: str, generation: Generation) -> dict[str, Any]:
        """A generation without its link, which is of no use for long."""
        path = self._paths.get(generation.id)
        entry = {"generation": generation.id, "state": generation.state, "worker": generation.worker_name}
        if kind == "TEXT":
            own = {"seed": generation.seed, "model": generation.model, "tokens": generation.tokens}
            return {**entry, **own, "text": generation.text}
        entry["path"] = None if path is None else str(path)
        if kind == "INTERROGATION":
            result = None if generation.result is None else msgspec.to_builtins(generation.result)
            for field in ("imageUrl", "svg"):
                (result or {}).pop(field, None)
            return {**entry, "form": generation.form, "reused": generation.reused, "result": result}
        return {**entry, "seed": generation.seed, "model": generation.model, "sha256": generation.sha256}

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
    begun = sum(each.state == "PROCESSING" for each in job.generations)
    parts = [job.state.lower(), f"{settled} of {len(job.generations)} done"]
    if begun:
        parts.append(f"{begun} under way")
    if job.queue_position is not None:
        parts.append(f"place {job.queue_position} in the queue")
    if job.estimated_wait_seconds is not None and not job.ended:
        parts.append(f"about {job.estimated_wait_seconds} s to go")
    return ", ".join(parts)


def in_words(result: FormResult) -> str:
    """What a form told, for people to read."""
    if result.text is not None:
        return result.text
    if result.nsfw is not None:
        return "not safe for work" if result.nsfw else "safe for work"
    if result.keywords is not None:
        return ", ".join(f"{each.keyword} {each.confidence:.0%}" for each in result.keywords)
    if result.colours is not None:
        return ", ".join(f"{each.hex} {each.share:.0%}" for each in result.colours)
    if result.score is not None:
        return f"{result.score:g} of 10"
    return "a file that is not saved"
