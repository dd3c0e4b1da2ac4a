"""`hoard train-aesthetic`: learn from a release how people like pictures. Needs no server.

Look next: `app.aesthetics.training`, docs/aesthetics.md.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from app.aesthetics.embedding import EmbeddingError
from app.aesthetics.release import TARGETS, ReleaseError
from app.aesthetics.report import MissingExtraError, rows, table, write
from app.aesthetics.training import Options, train


@click.command("train-aesthetic")
@click.argument("release", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("aesthetic-model"),
    show_default=True,
)
@click.option(
    "--target", type=click.Choice(TARGETS), default=TARGETS[0], show_default=True, help="What to learn."
)
@click.option(
    "--min-ratings",
    type=click.IntRange(1, 1_000),
    default=3,
    show_default=True,
    help="Leave out pictures with fewer.",
)
@click.option("--embedding", help="Instead of plain statistics: module:function, or a file *.onnx.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def train_command(
    release: Path, out: Path, target: str, min_ratings: int, embedding: str | None, *, as_json: bool
) -> None:
    """Train a small aesthetic baseline on a RELEASE (a folder) and judge it beside the mean."""
    options = Options(release=release, target=target, min_ratings=min_ratings, embedding=embedding)
    try:
        with click.progressbar(length=1, label="looking at pictures", hidden=as_json) as bar:

            def progress(done: int, of: int) -> None:
                bar.length = of
                bar.update(done - bar.pos)

            trained = train(options, progress)
        paths = write(trained, out)
    except (ReleaseError, EmbeddingError, MissingExtraError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps({f"{place}, {by}": round(q.rmse, 6) for place, by, q in rows(trained)}))
        return
    click.echo("\n" + table(trained))
    click.echo(f"written: {', '.join(str(path) for path in paths)}")
