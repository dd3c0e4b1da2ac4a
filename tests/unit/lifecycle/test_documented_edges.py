"""`docs/lifecycle.md` against the deciders: every edge and every answer there, and no others."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given as over
from hypothesis import settings

from tests.given import given
from tests.property.histories import Move, Play, histories
from tests.unit.lifecycle.situations import (
    FURTHER,
    NONE,
    SITUATIONS,
    WAITING,
    Edge,
    answer,
    commands,
    edges,
)

PAGE = (Path(__file__).parents[3] / "docs" / "lifecycle.md").read_text(encoding="utf-8")


def tables() -> Iterator[list[list[str]]]:
    """The tables of the page: rows of cells, the heading first, without the rule below it."""
    for block in re.findall(r"(?:^\|.*\|\n?)+", PAGE, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        yield [rows[0], *rows[2:]]


def documented_edges() -> set[Edge]:
    made: set[Edge] = set()
    for heading, *rows in tables():
        what, _, column = heading[0].partition(": ")
        if column == "from":
            made |= {(what, row[0], row[1], row[2].strip("`")) for row in rows}
    return made


def drawn_edges() -> dict[str, set[tuple[str, str]]]:
    """The arrows of each diagram, by what its states are states of: diagrams come in the order of the tables."""
    names = iter(dict.fromkeys(h[0].partition(":")[0] for h, *_ in tables() if h[0].endswith(": from")))
    made: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for diagram in re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL):
        for part in re.split(r"state \"", diagram):
            if arrows := re.findall(r"(\S+) --> (\S+)", part):
                ends = [tuple(NONE if end == "[*]" else end for end in arrow) for arrow in arrows]
                made[next(names)] = {(start, end) for start, end in ends}
    return made


def answers() -> list[tuple[str, str, str]]:
    """(situation, command, answer) as the page has them."""
    names = set(commands(given(*WAITING)))
    made = []
    for heading, *rows in tables():
        if heading[0] == "situation" and set(heading[1:]) <= names:
            for situation, *cells in rows:
                made += [
                    (situation, name, cell.replace("`", ""))
                    for name, cell in zip(heading[1:], cells, strict=True)
                ]
    return made


def test_every_edge_on_the_page_happens_and_every_edge_of_the_situations_is_on_the_page():
    seen: set[Edge] = set()
    for history in SITUATIONS.values():
        seen |= edges(given(*history).log.facts)
    for scene in FURTHER.values():
        seen |= edges(scene().log.facts)
    assert seen == documented_edges()


@over(histories(longest=80, shortest=20))
@settings(max_examples=60)
def test_no_history_has_an_edge_that_is_not_on_the_page(made: list[Move]):
    play = Play()
    play.play(made)
    assert edges(play.log.facts) <= documented_edges()


def test_the_diagrams_draw_what_the_tables_list():
    listed: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for what, start, end, _ in documented_edges():
        listed[what].add((start, end))
    assert drawn_edges() == listed


def test_every_command_is_answered_in_every_situation_on_the_page():
    wanted = {(situation, name) for situation in SITUATIONS for name in commands(given(*WAITING))}
    listed = [(situation, name) for situation, name, _ in answers()]
    assert len(listed) == len(set(listed))
    assert set(listed) == wanted


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_answers_on_the_page_are_those_of_the_deciders(situation: str):
    told = {name: said for where, name, said in answers() if where == situation}
    assert told == {name: answer(SITUATIONS[situation], name) for name in told}
