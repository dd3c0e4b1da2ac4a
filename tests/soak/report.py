"""The soak's table: what was killed and done, what was checked, what the processes used; for the terminal and a page.

Look next: `tests/soak/meter.py`.
"""

from collections import Counter
from pathlib import Path

from tests.soak.town import CLIENTS, CREWS, SPARED, WORKERS, Soak

PAGE = Path(__file__).parents[2] / "benchmarks" / "README.md"
BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"
_MIB = 2**20


def table(soak: Soak, said: list[str], verdict: str) -> str:
    """All figures, in Markdown."""
    workers = ", ".join(f"{count} {kind}" for kind, count in WORKERS.items())
    lines = [
        f"- {verdict}: {soak.struck} kills in {soak.seconds:.0f} s, longest silence {soak.longest_silence:.1f} s",
        f"- {CLIENTS} clients on one loop; workers: {workers}, in {CREWS} processes",
        f"- killed: {_counts(soak.kills)}",
        f"- {_work(soak)}",
        *(f"- {line}" for line in said),
        f"- what people were told besides: {_counts(soak.ledger.told)}",
        "",
        *_memory(soak),
        "",
        *_backlog(soak),
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the table where the last run's is."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def _counts(counts: Counter[str]) -> str:
    return (
        ", ".join(f"{name or '(nothing)'} {count:,}" for name, count in sorted(counts.items())) or "nothing"
    )


def _work(soak: Soak) -> str:
    promised = Counter({name: len(facts) for name, facts in soak.ledger.promised.items()})
    results = Counter(f"{fact['state']}" for fact in soak.acknowledged())
    return f"acknowledged: {_counts(promised)}; results: {_counts(results)}"


def _memory(soak: Soak) -> list[str]:
    """A row for the longest life of each."""
    lines = [
        "| process | lives | longest, s | MiB after a third | at the end | most | MiB an hour, last two thirds | open files |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lives = Counter(name for name, _ in soak.meter.lives)
    for name, life in sorted(soak.meter.longest().items()):
        late, slope = life.late(), life.slope()
        grows = "too short" if slope is None else f"{slope[0]:+.1f} ± {2 * slope[1]:.1f}"
        sizes = [each[1] for each in late]
        files = [each[2] for each in late]
        shown = f"**{name}** (spared)" if name in SPARED else name
        lines.append(
            f"| {shown} | {lives[name]} | {life.seconds:.0f} | {sizes[0]:.1f} | {sizes[-1]:.1f} | "
            f"{max(each[1] for each in life.samples):.1f} | {grows} | {files[0]} to {files[-1]} |"
        )
    return lines


def _backlog(soak: Soak) -> list[str]:
    looks = soak.meter.backlog
    if not looks:
        return ["Nothing was measured."]
    first, last = looks[0], looks[-1]
    events = last[1]["events"] - first[1]["events"]
    each = (last[1]["bytes"] - first[1]["bytes"]) / max(events, 1)
    lines = [
        "| waiting in the database | on average | most | at the end |",
        "| --- | --- | --- | --- |",
    ]
    for name in ("jobs", "live leases", "open calls", "events not followed", "webhooks to tell"):
        values = [look.get(name, 0) for _, look in looks]
        lines.append(f"| {name} | {sum(values) / len(values):.1f} | {max(values):,} | {values[-1]:,} |")
    size = f"{last[1]['bytes'] / _MIB:.0f} MiB and grew by {each:.0f} bytes an event"
    lines += [
        "",
        f"- {last[1]['events']:,} events; the database is {size}, with all projections, vault and indexes.",
        "- Memory is anonymous and proportional, with children: what processes hold of their own, not libraries nor shared buffers. `open calls` are reactions of the relay whose actor has not settled them.",
    ]
    return lines
