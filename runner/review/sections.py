"""What a report tells, section by section: verdict, reach, rehearsal, failures, risk, changes, and the source.

Long parts are bounded here, so that no format is longer than a person reads, and each says how much it left out.

Not here: the blocks (told), drawing them (text, markdown, page).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from runner.amounts import plural, seconds
from runner.models import Severity
from runner.review.remarks import weakness_message
from runner.review.report import (
    NOT_INNOCENCE,
    AgentReach,
    Change,
    FaultCase,
    FaultsView,
    Graph,
    ReachView,
    RehearsalView,
    Report,
)
from runner.review.told import (
    ERROR,
    WARNING,
    WIDENS,
    At,
    Block,
    Code,
    Drawing,
    Folded,
    Item,
    Items,
    Said,
    Section,
    Table,
    Verbatim,
    Words,
)

MAX_ROWS = 200
"""Of a table or list."""
MAX_DIFF_LINES = 400
"""Of all changes together."""
MAX_NAMED = 12
"""Names or lines in one sentence."""
MAX_CHARACTERS = 4_000
"""Of one message, printed line or schema."""
_T = TypeVar("_T")


def sections(report: Report) -> tuple[Section, ...]:
    """Return the parts of a report in the order in which a reviewer asks."""
    return (
        Section("verdict", "Verdict", tuple(_verdict(report))),
        Section("reach", "Reach", tuple(_reach(report.reach))),
        Section("rehearsal", "Rehearsal", tuple(_rehearsal(report.rehearsal))),
        Section("failures", "When agents fail", tuple(_faults(report.faults))),
        Section("risk", "Risk", tuple(_risk(report))),
        Section("changes", "What changed", tuple(_changes(report))),
        Section("source", "Source", tuple(_source(report))),
    )


def identity(report: Report) -> tuple[tuple[str, Words], ...]:
    """Return what the report is of: name → value."""
    return (
        ("script", (Code(report.script), " sha256 ", Code(report.script_digest))),
        ("policy", (Code(report.policy), " sha256 ", Code(report.policy_digest))),
        ("inputs", ("sha256 ", Code(report.inputs_digest)) if report.inputs_digest else ("any that fit",)),
    )


def _verdict(report: Report) -> Iterator[Block]:
    verdict = report.verdict
    errors = sum(found.severity is Severity.ERROR for found in verdict.findings)
    warnings = len(verdict.findings) - errors
    counts = ", ".join(plural(n, what) for n, what in ((errors, ERROR), (warnings, WARNING)) if n)
    said = f"{'accepted' if verdict.accepted else 'rejected'} by the check{f': {counts}' if counts else ''}"
    yield Said((f"{said}; dialect {verdict.dialect}, Python {verdict.python}",), "" if verdict.accepted else ERROR)
    if verdict.findings:
        found = sorted(verdict.findings, key=lambda one: one.severity is not Severity.ERROR)
        yield _items(
            Item((At(one.line), f": {_cut(one.message)} [", Code(one.rule), "]"), str(one.severity), (_fix(one.fix),))
            for one in found
        )
    if report.notes:
        yield _items(Item((f"note: {_cut(note)}",)) for note in report.notes)


def _fix(text: str) -> Words:
    return (f"fix: {_cut(text)}",)


def _reach(view: ReachView) -> Iterator[Block]:
    reach = view.reach
    yield Said((
        f"at most {plural(view.spawns_at_most, 'spawn')} and {plural(view.attempts_at_most, 'call')} of agents, "
        f"{_money(view.cost_usd_at_most)}, {seconds(view.seconds_at_most)}",
    ))  # fmt: skip
    lower, upper = Code(reach.spawns_lower), Code(reach.spawns_upper)
    yield Said(("spawns by the check: from ", lower, " to ", upper, _chain(reach.longest_chain)))
    if reach.dynamic:
        yield Said(("an agent or a scope is computed: the script can ask for whatever the policy has",), WARNING)
    if not view.agents:
        yield Said(("it can ask no agent",))
        return
    yield _agents(view.agents)
    for agent in view.agents:
        if agent.runs:
            yield Said((Code(agent.name), f" runs {_cut(agent.runs, 600)}"))
    opened = [
        (Code(agent.name), Code(one.scope), Code(one.resource) if one.resource else "nothing", *_rules(one.rules))
        for agent in view.agents
        for one in agent.scopes
    ]
    if opened:
        rows = [((name,), (scope,), (resource,), tuple(rules)) for name, scope, resource, *rules in opened]
        yield _table("What its scopes open", ("agent", "scope", "resource", "rules"), rows)
    else:
        yield Said(("no agent is asked with a scope",))
    yield Folded("What the isolation of its agents does not stop", (_items(_not_stopped(view.agents)),))


def _agents(agents: Sequence[AgentReach]) -> Table:
    head = ("agent", "effects", "calls at most", "timeout", "cost of a call", "runs as", "description")
    rows: list[tuple[Words, ...]] = [
        (
            (Code(agent.name),),
            (f"{agent.effects}{', idempotent' if agent.idempotent else ''}",),
            (f"{agent.calls_at_most:,}" if agent.calls_at_most is not None else "no bound of its own",),
            (seconds(agent.timeout_seconds),),
            (_money(agent.cost_usd),),
            (f"{agent.backend}, {agent.isolation}",),
            (_cut(agent.description, 300),),
        )
        for agent in agents
    ]
    return _table("Agents it can ask", head, rows, frozenset({2, 3, 4}))


def _rules(rules: tuple[str, ...]) -> Iterator[str | Code]:
    for place, rule in enumerate(rules[:MAX_NAMED]):
        yield from (", ", Code(rule)) if place else (Code(rule),)
    if len(rules) > MAX_NAMED:
        yield f" and {len(rules) - MAX_NAMED} more"


def _not_stopped(agents: Sequence[AgentReach]) -> Iterator[Item]:
    """Yield what is not stopped, once for all agents of which it holds."""
    ordered = sorted(agents, key=lambda agent: agent.not_stopped)
    for text, same in groupby(ordered, key=lambda agent: agent.not_stopped):
        names = [agent.name for agent in same]
        yield Item((*_named(names), f": {_cut(text) or 'nothing is said'}"))


def _rehearsal(view: RehearsalView | None) -> Iterator[Block]:
    if view is None:
        yield Said(("not rehearsed",))
        return
    graph = view.graph
    spawns = sum(node.kind == "spawn" for node in graph.nodes)
    where: Words = (" at ", At(view.stopped_at)) if view.stopped_at else ()
    why = f": {_cut(view.message)}" if view.message else ""
    ended = f"against mock agents it ended as {view.state}"
    yield Said((ended, *where, why), "" if view.state == "done" else ERROR)
    yield Said((
        f"{plural(spawns, 'spawn')} in {plural(graph.waves, 'wave')}; {seconds(graph.seconds)} of virtual time, "
        f"{seconds(graph.sequential_seconds)} one after the other{_times(graph)}",
    ))  # fmt: skip
    yield Said((NOT_INNOCENCE,))
    if not graph.nodes:
        return
    yield _counts(view)
    yield Said(("critical path: ", *_path(graph)))
    yield Drawing("graph")
    yield Drawing("waterfall")
    shape = json.dumps(view.result_shape, ensure_ascii=False, indent=2)
    yield Folded("Shape of the result", (Verbatim(_cut(shape), "json"),))
    if view.printed:
        printed = "\n".join(_cut(line, 500) for line in view.printed[:MAX_ROWS])
        rest = len(view.printed) - MAX_ROWS
        more = (Said((f"and {plural(rest, 'line')} more",)),) if rest > 0 else ()
        yield Folded("What it printed", (Verbatim(printed, "text"), *more))


def _times(graph: Graph) -> str:
    if graph.seconds <= 0 or graph.sequential_seconds <= graph.seconds:
        return ""
    return f", {graph.sequential_seconds / graph.seconds:.1f} times as long"


def _counts(view: RehearsalView) -> Table:
    kinds = sorted({kind for counts in view.counts.values() for kind in counts}, key=lambda kind: (kind != "ok", kind))
    lines: dict[str, set[int]] = {}
    for node in view.graph.nodes:
        lines.setdefault(node.agent, set()).add(node.line)
    rows: list[tuple[Words, ...]] = [
        (
            (Code(agent),),
            (f"{sum(counts.values()):,}",),
            *((f"{counts.get(kind, 0):,}",) for kind in kinds),
            tuple(_at_lines(sorted(lines.get(agent, ())))),
        )
        for agent, counts in view.counts.items()
    ]
    numbers = frozenset(range(1, len(kinds) + 2))
    return _table("How its spawns ended", ("agent", "spawns", *kinds, "asked at"), rows, numbers)


def _path(graph: Graph) -> Iterator[str | Code | At]:
    by_number = {node.n: node for node in graph.nodes}
    path = [by_number[n] for n in graph.critical_path if n in by_number]
    for place, node in enumerate(path[:MAX_NAMED]):
        if place:
            yield " → "
        yield Code(f"#{node.n} {node.agent or node.kind}")
    if len(path) > MAX_NAMED:
        yield f" and {len(path) - MAX_NAMED} more"
    if not path:
        yield "none"


def _faults(view: FaultsView | None) -> Iterator[Block]:
    if view is None:
        yield Said(("not tried",))
        return
    mark = WARNING if view.weaknesses else ""
    yield Said((f"one failure: it survived {view.survived:,} of {plural(view.cases, 'case')}",), mark)
    if view.multiple:
        counted = f"{view.multiple_survived:,} of {plural(view.multiple, 'case')}"
        yield Said((f"several failures at once: it survived {counted} (seed {view.seed})",))
    if view.skipped:
        yield Said((f"{plural(view.skipped, 'single failure')} not tried: there were more than the bound",), WARNING)
    if view.weaknesses:
        yield _items(Item((At(one.line), f": {_cut(weakness_message(one))}"), WARNING) for one in view.weaknesses)
    if view.worst:
        yield Folded("Several failures that brought it down", (_items(_case(one) for one in view.worst),))


def _case(case: FaultCase) -> Item:
    faults = _named([f"#{n} {kind}" for n, kind in case.faults])
    where: Words = (" at ", At(case.line)) if case.line else ()
    said = f": {_cut(case.message)}" if case.message else ""
    return Item((*_named(case.agents), " (", *faults, f"): {case.state}", *where, said))


def _risk(report: Report) -> Iterator[Block]:
    if not report.risks:
        yield Said(("no rule of the review strikes",))
        return
    ordered = sorted(report.risks, key=lambda risk: risk.severity is not Severity.ERROR)
    yield _items(
        Item(
            (*((At(risk.line), ": ") if risk.line else ()), f"{_cut(risk.message)} [", Code(risk.rule), "]"),
            str(risk.severity),
            ((_cut(risk.advice),),) if risk.advice else (),
        )
        for risk in ordered
    )


def _changes(report: Report) -> Iterator[Block]:
    view = report.changes
    if view is None:
        yield Said(("there is nothing that it was compared with",))
        return
    yield Said((f"against {_cut(view.against)}",))
    if not view.changes:
        yield Said(("nothing is other than there",))
        return
    yield _items(_changed(sorted(view.changes, key=lambda change: not change.widens)))


def _changed(changes: Iterable[Change]) -> Iterator[Item]:
    left = MAX_DIFF_LINES
    for change in changes:
        lines = tuple(_cut(line, 500) for line in change.lines[:left])
        cut = len(change.lines) - len(lines)
        left -= len(lines)
        more: tuple[Words, ...] = ((f"{plural(cut, 'line')} of it left out",),) if cut else ()
        yield Item((f"{change.what}: {_cut(change.message)}",), WIDENS if change.widens else "", more, lines)


def _source(report: Report) -> Iterator[Block]:
    if report.rehearsal is not None:
        never = [line.number for line in report.source if line.reached == "no"]
        faults = [line.number for line in report.source if line.reached == "fault"]
        sites = [line.number for line in report.source if line.reached == "no" and line.spawns]
        yield Said(("reached in no case: ", *_at_lines(never)), WARNING if never else "")
        if sites:
            yield Said(("of these, spawns are written at: ", *_at_lines(sites)), WARNING)
        if faults:
            yield Said(("reached in a fault case alone: ", *_at_lines(faults)))
    yield Drawing("source")


def _at_lines(numbers: Sequence[int]) -> Iterator[str | At]:
    """Yield lines as ranges: line 3, lines 5-9."""
    if not numbers:
        yield "no line"
        return
    ranges = _ranges(numbers)
    for place, (first, last) in enumerate(ranges[:MAX_NAMED]):
        if place:
            yield ", "
        yield At(first)
        if last > first:
            yield f" to {last}"
    if len(ranges) > MAX_NAMED:
        yield f" and {plural(len(ranges) - MAX_NAMED, 'place')} more"


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _named(names: Sequence[str]) -> Words:
    words: list[str | Code | At] = []
    for name in names[:MAX_NAMED]:
        words += [", ", Code(name)] if words else [Code(name)]
    return (*words, f" and {len(names) - MAX_NAMED} more") if len(names) > MAX_NAMED else tuple(words)


def _chain(longest: int | None) -> str:
    return "; a chain of unknown length" if longest is None else f"; a chain of {longest:,}"


def _money(usd: float | None) -> str:
    if usd is None:
        return "cost not told"
    return f"${usd:,.2f}" if usd >= 0.01 or usd == 0 else f"${usd:.4f}"


def _cut(text: str, limit: int = MAX_CHARACTERS) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def _items(items: Iterable[Item]) -> Items:
    kept, left_out = _bounded(items)
    return Items(tuple(kept), left_out)


def _table(
    caption: str, head: tuple[str, ...], rows: Iterable[tuple[Words, ...]], numbers: frozenset[int] = frozenset()
) -> Table:
    kept, left_out = _bounded(rows)
    return Table(caption, head, tuple(kept), numbers, left_out)


def _bounded(things: Iterable[_T]) -> tuple[list[_T], int]:
    every = list(things)
    return every[:MAX_ROWS], max(0, len(every) - MAX_ROWS)
