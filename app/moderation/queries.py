"""Reads for moderators: cases with the words they are about, and who may see them.

Look next: `projections.cases`, `app.moderation.graphql`.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from app.platform.sql import Query, accounts, any_of, bind, cases, job_words, rows_of
from projections.cases import Case
from projections.store.tables import TABLES

ACCOUNT = rows_of("accounts", accounts.c.id == bind("id", sa.Uuid))


class CaseView(msgspec.Struct, frozen=True):
    """A case, and what its client wrote; None once that was erased."""

    case: Case
    prompt: str | None
    negative_prompt: str | None


def _views(*conditions: sa.ColumnElement[bool]) -> sa.Select[tuple[object, ...]]:
    words = sa.and_(job_words.c.realm == cases.c.realm, job_words.c.job == cases.c.job)
    columns = (
        *(cases.c[c.name] for c in TABLES["cases"].columns),
        job_words.c.prompt,
        job_words.c.negative_prompt,
    )
    return sa.select(*columns).outerjoin(job_words, words).where(cases.c.realm == bind("realm"), *conditions)


def _view(row: object) -> CaseView:
    *case, prompt, negative_prompt = tuple(row)  # type: ignore[var-annotated, arg-type]
    return CaseView(TABLES["cases"].load(case), prompt, negative_prompt)


BY_ID: Query[CaseView] = Query(_views(any_of(cases.c.id, "ids")), _view)
PAGE: Query[CaseView] = Query(
    _views(
        cases.c.opened < bind("before", sa.BigInteger),
        sa.or_(bind("state", sa.Text).is_(None), cases.c.state == bind("state", sa.Text)),
    )
    .order_by(cases.c.opened.desc())
    .limit(bind("limit", sa.BigInteger)),
    _view,
)
