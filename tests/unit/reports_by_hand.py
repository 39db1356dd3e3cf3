"""Reports made by hand: a rich one, a hostile one, a rejected one, and ones of any size."""

from __future__ import annotations

from dataclasses import replace

from runner.models import Finding, Reach, Severity, Verdict, digest_of
from runner.review.report import (
    AgentReach,
    Change,
    ChangesView,
    FaultCase,
    FaultsView,
    Graph,
    Node,
    ReachView,
    RehearsalView,
    Report,
    Risk,
    ScopeReach,
    SourceLine,
    Weakness,
)

SOURCE = '''"""Research each vendor, then look again where the first pass was unsure."""

findings = [spawn("research", {"vendor": v}, scopes=["crm:read"], retry=2, label=v) for v in inputs["vendors"]]
briefs = [spawn("summarise", {"finding": f}) for f in findings]
first = gather(briefs, on_error="none")

unsure = [v for v, b in zip(inputs["vendors"], first) if b is None or b["confidence"] < 0.6]
if len(unsure) > 3:
    raise ValueError("too many are unsure")
second = gather([spawn("deep_research", {"vendor": v}, fallback="research") for v in unsure])
for v, found in zip(unsure, second):
    if found is None:
        spawn("mail", {"to": "sales@example.com", "text": f"nothing on {v}"}, scopes=["mail:send"]).result()
print("done")
result = {"briefs": first, "second_pass": second}
'''
VENDORS = ("Acme", "Bolt & Sons", "Čapek <Robots>", "日本精工")


def nodes() -> tuple[Node, ...]:
    """Return a run of three waves: four researches, four briefs of them, two second looks, a then."""
    found = [
        Node(n, "spawn", "research", name, 3, 1, "ok", 2 if n == 3 else 1, 0.0, 0.0, 2.0 + n, critical=n == 4)
        for n, name in enumerate(VENDORS, 1)
    ]
    found += [
        Node(n + 4, "spawn", "summarise", "", 4, 2, "failed" if n == 2 else "ok", 1, 0.0, 2.0 + n, 3.5 + n, (n,), (),
             critical=n == 4)
        for n in range(1, 5)
    ]  # fmt: skip
    found += [
        Node(9, "spawn", "deep_research", "Bolt & Sons", 10, 3, "ok", 1, 7.5, 7.5, 12.25, (), (5, 6, 7, 8), critical=True),
        Node(10, "spawn", "deep_research", "日本精工", 10, 3, "timed_out", 3, 7.5, 8.0, 11.0, (), (5, 6, 7, 8)),
        Node(11, "then", "", "", 11, 4, "ok", 0, 12.25, 12.25, 12.25, (9, 1), (10,), critical=True),
    ]
    return tuple(found)


GRAPH = Graph(nodes(), 4, (4, 8, 9, 11), 12.25, 33.75)


def agents() -> tuple[AgentReach, ...]:
    crm = ScopeReach("crm:read", "https://crm.example", ("GET /customers/{inputs.customer_id}/**",))
    mail = ScopeReach("mail:send", "https://mail.example", ("POST /messages", "GET /messages/**"))
    local = "it runs as the same user as runner: it can read what that user can"
    return (
        AgentReach("research", "Look a vendor up.", "python", "read", "process", local, True, (crm,), 12, 60.0, 0.02),
        AgentReach("summarise", "Sum a finding up.", "command", "none", "process", local, True, (), 4, 30.0, 0.004),
        AgentReach("deep_research", "Look a vendor up, long.", "http", "read", "remote", "what it does is its own matter",
                   True, (crm,), None, 300.0, None),
        AgentReach("mail", "Send a mail.", "mcp", "irreversible", "remote", "what it does is its own matter",
                   False, (mail, ScopeReach("mail:note", "")), 4, 10.0, 0.0),
    )  # fmt: skip


def verdict() -> Verdict:
    findings = (
        Finding("unbounded-retry", Severity.WARNING, 3, 13, 'spawn("research", {"vendor": v}, scopes=["crm:read"], retry=2, label=v)',
                "three attempts of each spawn can cost three times as much", "say `retry=1`"),
        Finding("spawn-in-loop", Severity.WARNING, 13, 9, "spawn", "these spawns wait for each other", "spawn all, then `gather`"),
    )  # fmt: skip
    scopes = {"research": ("crm:read",), "deep_research": ("crm:read",), "mail": ("mail:send",)}
    count = 'len(inputs["vendors"])'
    reach = Reach(
        ("research", "summarise", "deep_research", "mail"), False, scopes, 0, None, f"2 * {count}", f"4 * {count}", None, 7
    )
    return Verdict(findings, reach, 1, "3.11")


def source_lines() -> tuple[SourceLine, ...]:
    reached = {3: "rehearsal", 4: "rehearsal", 5: "rehearsal", 7: "rehearsal", 8: "rehearsal", 9: "no", 10: "rehearsal",
               11: "rehearsal", 12: "fault", 13: "no", 14: "rehearsal", 15: "rehearsal"}  # fmt: skip
    return tuple(
        SourceLine(number, text, reached.get(number, ""), "spawn(" in text)
        for number, text in enumerate(SOURCE.rstrip("\n").split("\n"), 1)
    )


def rich() -> Report:
    """Return a report in which every part stands, with several of each."""
    counts = {"research": {"ok": 4}, "summarise": {"ok": 3, "failed": 1}, "deep_research": {"ok": 1, "timed_out": 1}}
    shape = {"type": "object", "properties": {"briefs": {"type": "array"}, "second_pass": {"type": "array"}}}
    weaknesses = (
        Weakness(10, "deep_research", ("failed", "timed_out"), 2, 10, "SpawnFailed: it was made to fail"),
        Weakness(3, "research", ("invalid_output",), 1, 0, ""),
    )
    worst = (FaultCase(((1, "failed"), (6, "timed_out")), ("research", "summarise"), (3, 4), False, "failed", "too many are unsure", 9),)
    risks = (
        Risk("irreversible-after-untrusted", Severity.ERROR, "what it mails comes from what an agent read",
             "let a person look at the text first", 13),
        Risk("no-cost", Severity.WARNING, 'the policy does not say what a call of "deep_research" costs', "add `cost_usd` to it"),
    )  # fmt: skip
    changes = ChangesView("the version approved on 2031-04-01 by lea", (
        Change("script", "2 lines added, 1 removed", False,
               ("-second = gather(looks)", '+second = gather([spawn("deep_research", ...)])', "+# again")),
        Change("reach", 'agent "mail" with scope "mail:send" is new', True),
        Change("policy", 'limits.spawns: 100 → 1000', True),
    ))  # fmt: skip
    return Report(
        "vendors", digest_of(SOURCE), source_lines(), "research", "5" * 64, "a" * 64, verdict(),
        ReachView(agents(), verdict().reach, 1000, 3000, 61.5, 300.0),
        (
            "accepted, with 2 warnings", "can ask research, summarise, deep_research and mail (crm:read, mail:send)",
            "rehearsed: done, 10 spawns in 4 waves, 12.2 s", "failures: survives 8 of 11, ends at line 10",
            "risk: 1 error, irreversible-after-untrusted", "changed: mail is new",
        ),
        RehearsalView("done", "", 0, GRAPH, counts, shape, ("done", "second line")),
        FaultsView(11, 8, weaknesses, 6, 5, 7, 3, worst, 1.2),
        risks, changes, ("2 agents have no mock of their own: values are made from their schemas",),
    )  # fmt: skip


def rejected() -> Report:
    """Return the report of a script that the check refused: it was not rehearsed."""
    found = Finding("forbidden-import", Severity.ERROR, 1, 1, "import os", 'no module "os" here', "use what `inputs` has")
    view = ReachView((), Reach(), 0, 0, None, 300.0)
    return Report(
        "bad", digest_of("import os\n"), (SourceLine(1, "import os", "", False),), "research", "5" * 64, "",
        Verdict((found,), Reach(), 1, "3.11"), view, ("rejected: 1 error",),
    )  # fmt: skip


ATTACKS = (
    "\x1b[31mred\x1b[0m\x1b]0;title\x07 \x9b2J \u202eevil\u2066 \u200b\u00ad\ufeff",
    "<script>alert(1)</script><img src=x onerror=alert(1)> &amp; \"q\" 'q' </title></svg></style></pre>-->",
    "`x` ``` ~~~ | a | [l](javascript:alert(1)) ![i](https://evil.test/i.png) @octocat #12 https://evil.test www.evil.test *b* _i_ $x$ <!--",
    '"];\\N\\" end subgraph x{} -->|a| %%{init: {}}%% #lt;b#gt; click n1 "https://evil.test"',
    "{0} {{x}} é" + "\u0301" * 40 + " \ud800 \U000e0041",
    "a\nb\r\nc\td\u2028e",
)
ATTACK = " ".join(ATTACKS)


def hostile() -> Report:
    """Return the rich report in which whatever a script or an agent says is an attack."""
    base = rich()
    assert base.rehearsal is not None and base.faults is not None and base.changes is not None
    attacked = [replace(node, agent=node.agent and ATTACK, label=ATTACKS[node.n % len(ATTACKS)], outcome=node.outcome) for node in GRAPH.nodes]
    scope = ScopeReach(ATTACK, ATTACK, (ATTACK, ATTACK))
    agent = AgentReach(ATTACK, ATTACK, "python", "read", "process", ATTACK, True, (scope,), 1, 1.0, 0.0)
    reach = Reach((ATTACK,), True, {ATTACK: (ATTACK,)}, 0, None, ATTACK, ATTACK, None, None)
    findings = tuple(Finding("r-x", Severity.ERROR, line, 1, ATTACK, ATTACK, ATTACK) for line in (1, 3))
    source = tuple(SourceLine(n, ATTACKS[n % len(ATTACKS)].replace("\n", " "), ("no", "fault", "rehearsal", "")[n % 4], n % 2 == 0)
                   for n in range(1, 25))  # fmt: skip
    faults = replace(
        base.faults, weaknesses=(Weakness(3, ATTACK, ("failed",), 1, 3, ATTACK),),
        worst=(FaultCase(((1, "failed"),), (ATTACK,), (3,), False, "failed", ATTACK, 3),),
    )  # fmt: skip
    return replace(
        base, script=ATTACK, policy=ATTACK, source=source, verdict=Verdict(findings, reach, 1, "3.11"),
        reach=ReachView((agent,), reach, 1, 1, None, 1.0), first_screen=(ATTACK,) * 6, notes=(ATTACK,),
        rehearsal=RehearsalView("failed", ATTACK, 3, replace(GRAPH, nodes=tuple(attacked)), {ATTACK: {"ok": 11}}, {ATTACK: ATTACK}, (ATTACK,)),
        faults=faults, risks=(Risk("r-y", Severity.ERROR, ATTACK, ATTACK, 3),),
        changes=ChangesView(ATTACK, (Change("script", ATTACK, True, (ATTACK, ATTACK)),)),
    )  # fmt: skip


def large(spawns: int, *, source: str = SOURCE, parallel: int = 50) -> Report:
    """Return a report of so many spawns, so many of them in each wave."""
    names = ("research", "summarise", "deep_research")
    found = []
    for n in range(1, spawns + 1):
        wave = (n - 1) // parallel + 1
        needs = (n - parallel,) if wave > 1 else ()
        start = (wave - 1) * 2.0 + (n % 7) / 10
        found.append(Node(n, "spawn", names[wave % 3], f"vendor {n}", 3 + n % 2, wave, "ok" if n % 11 else "failed", 1 + n % 2,
                          (wave - 1) * 2.0, start, start + 1 + (n % 5) / 4, needs, (), n % parallel == 1))  # fmt: skip
    waves = found[-1].wave
    graph = Graph(tuple(found), waves, tuple(node.n for node in found if node.critical), waves * 2.0 + 1, spawns * 1.5)
    base = rich()
    assert base.rehearsal is not None
    lines = tuple(
        SourceLine(number, text, ("rehearsal", "no", "fault", "")[number % 4], "spawn(" in text)
        for number, text in enumerate(source.split("\n"), 1)
    )
    counts = {name: {"ok": spawns // 3} for name in names}
    return replace(base, source=lines, rehearsal=replace(base.rehearsal, graph=graph, counts=counts))
