"""Metrics are declared in one place, and pages, dashboard, alerts and runbook know no others."""

import ast
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from prometheus_client import Counter, Gauge, Histogram
from ruamel.yaml import YAML

from app.cli import main
from app.platform import metrics

HERE = Path(__file__).parents[3]
DASHBOARD = HERE / "deploy/grafana/hoard.json"
ALERTS = HERE / "deploy/prometheus/alerts.yml"
SCRAPES = HERE / "deploy/prometheus/prometheus.yml"
RUNBOOK = HERE / "docs/runbook.md"
KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}
#: what every target has, and what histograms have
SCRAPED = {"job", "instance", "process", "le"}

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def declared() -> Iterator[Any]:
    for value in vars(metrics).values():
        if isinstance(value, tuple(KINDS)):
            yield value


def kind_of(metric: Any) -> str:
    return KINDS[type(metric)]


def shown_name(metric: Any) -> str:
    """As `docs/metrics.md` has it."""
    found: str = metric._name
    return found + ("_total" if isinstance(metric, Counter) else "")


SAMPLES = {m._name + end: m for m in declared() for end in _SUFFIXES[kind_of(m)]}


def yaml(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def dashboard_queries() -> dict[str, str]:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels
        for target in panel.get("targets", ())
    }


def alert_rules() -> list[dict[str, Any]]:
    return [rule for group in yaml(ALERTS)["groups"] for rule in group["rules"]]


def runbook_queries() -> list[str]:
    blocks = re.findall(r"```promql\n(.*?)```", RUNBOOK.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def samples_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:hoard|process)_\w+", query))


def labels_in(query: str) -> set[str]:
    """Labels that a query groups or selects by."""
    grouped = re.findall(r"\b(?:by|on) \(([^)]*)\)", query)
    selected = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query)
    return {label.strip() for group in grouped for label in group.split(",")} | set(selected)


def check(query: str, where: str) -> None:
    """Every sample is declared in that form, and every label is one of theirs."""
    names = samples_in(query)
    own = {name for name in names if name.startswith("hoard_")}
    assert own <= SAMPLES.keys(), where
    assert names - own <= of_the_process(), where
    known = SCRAPED.union(*(SAMPLES[name]._labelnames for name in own))
    assert labels_in(query) <= known, where
    assert all(query.count(a) == query.count(b) for a, b in ("()", "{}", "[]")), where


def of_the_process() -> set[str]:
    return {
        sample.name
        for family in metrics.REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith("process_")
    }


def test_the_page_lists_every_metric_as_it_is_declared() -> None:
    page = (HERE / "docs/metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(hoard_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", page, re.MULTILINE)
    told = {name: (kind, tuple(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in rows}
    assert len(told) == len(rows) > 50
    assert told == {shown_name(m): (kind_of(m), m._labelnames, m._documentation) for m in declared()}


def test_every_metric_is_used_by_the_dashboard() -> None:
    used = {
        SAMPLES[name] for query in dashboard_queries().values() for name in samples_in(query) & SAMPLES.keys()
    }
    assert {shown_name(m) for m in declared()} == {shown_name(m) for m in used}


def test_nothing_else_makes_a_metric() -> None:
    makers = {
        path.relative_to(HERE).as_posix()
        for top in ("app", "events", "projections", "clients")
        for path in (HERE / top).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom | ast.Import)
        if "prometheus_client" in (getattr(node, "module", None) or node.names[0].name)
    }
    assert makers == {"app/platform/metrics.py"}


def test_no_label_can_hold_what_a_client_wrote() -> None:
    """Labels are of these kinds; a new one is thought about here: are its values bounded, and nobody's?"""
    assert {label for m in declared() for label in m._labelnames} == {
        *("account", "actor", "code", "command", "direction", "field", "follower", "kind", "limit"),
        *("outcome", "queue", "realm", "reason", "state", "wire"),
    }


def test_the_dashboard_is_whole_and_asks_for_what_is_there() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert board["schemaVersion"] >= 41
    assert [v["name"] for v in board["templating"]["list"]] == ["datasource", "instance"]
    charts = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len(charts) > 30
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in charts:
        assert panel["description"], panel["title"]
        assert {t["datasource"]["uid"] for t in panel["targets"]} == {"${datasource}"}, panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, panel["title"]
    for where, query in dashboard_queries().items():
        check(query, where)


def test_alerts_ask_for_what_is_there_and_name_what_to_do() -> None:
    sections = re.findall(r"^## (.*)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {f"docs/runbook.md#{title.lower().replace(' ', '-')}" for title in sections}
    rules = alert_rules()
    assert len({rule["alert"] for rule in rules}) == len(rules) > 20
    for rule in rules:
        check(rule["expr"], rule["alert"])
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["annotations"]["runbook"] in anchors, rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, rule["alert"]
        assert re.fullmatch(r"\d+[mh]", rule["for"]), rule["alert"]


def test_prometheus_scrapes_the_default_ports_and_knows_the_alerts() -> None:
    from app.platform.settings import METRICS_PORTS, Settings  # noqa: PLC0415

    found = yaml(SCRAPES)
    assert found["rule_files"] == [ALERTS.name]
    (job,) = found["scrape_configs"]
    first = Settings.__struct_defaults__[
        Settings.__struct_fields__.index("metrics_port") - len(Settings.__struct_fields__)
    ]
    assert job["job_name"] == "hoard"
    assert [(each["targets"], each["labels"]) for each in job["static_configs"]] == [
        ([f"127.0.0.1:{first + ahead}"], {"process": name}) for ahead, name in enumerate(METRICS_PORTS)
    ]


def test_the_runbook_asks_for_what_is_there() -> None:
    assert len(runbook_queries()) > 20
    for query in runbook_queries():
        check(query, query)
    text = RUNBOOK.read_text(encoding="utf-8")
    families = {m._name for m in declared()} | SAMPLES.keys()
    assert samples_in(text) - families - of_the_process() == set()


def test_every_command_of_the_runbook_exists() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    lines = [*re.findall(r"`(hoard [^`]*)`", text), *re.findall(r"^(hoard [^#\n]*)", text, re.MULTILINE)]
    assert len(lines) > 20
    for line in lines:
        words = line.split()[1:]
        command: click.Command = main
        while isinstance(command, click.Group) and words:
            context = click.Context(command)
            found = command.get_command(context, words.pop(0))
            assert found is not None, line
            command = found
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, line
        assert not isinstance(command, click.Group), line


def test_mutations_and_queries_of_the_runbook_exist() -> None:
    schema = (HERE / "schema.graphql").read_text(encoding="utf-8")
    for name in ("setWorkerPaused", "sendWorkerMessage", "workers", "models"):
        assert re.search(rf"^  {name}[(:]", schema, re.MULTILINE), name


def test_a_port_that_is_taken_is_told_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    import socket  # noqa: PLC0415

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        metrics.expose("127.0.0.1", taken.getsockname()[1])
    assert [record.message for record in caplog.records] == ["metrics_not_exposed"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    metrics.expose("127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert b"hoard_writer_queue_commands 0.0" in answer.read()


def test_what_is_told_by_rows_is_taken_back_with_its_row() -> None:
    gauges = (metrics.QUEUE_JOBS, metrics.QUEUE_WORK)
    metrics.tell(gauges, [("IMAGE", 2, 30), ("TEXT", 1, 5)])
    metrics.tell(gauges, [("TEXT", 4, 6)])
    told = {g._name: {s.labels["kind"]: s.value for f in g.collect() for s in f.samples} for g in gauges}
    assert told == {"hoard_queue_jobs": {"TEXT": 4}, "hoard_queue_work": {"TEXT": 6}}
