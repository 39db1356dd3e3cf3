"""Each rule of the check with the whole finding; and what no rule may mistake for an error."""

# Tables of whole messages read better unbroken.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from runner.check import check
from runner.models import Finding, Script, Severity
from runner.policy import load_policy_text

POLICY = load_policy_text(
    """
version: 1
agents:
  research:
    description: Finds what a vendor sells.
    python: agents:research
    input:
      type: object
      properties:
        vendor: {type: string}
        depth: {enum: [1, 2]}
        pages: {type: integer, minimum: 1}
        tags: {type: array, items: {type: object, properties: {name: {type: string}}, required: [name]}}
        either: {anyOf: [{type: string}, {type: "null"}]}
      required: [vendor]
    output: {}
    scopes: [crm:read, crm:list]
    timeout: 30s
    max_timeout: 60s
  fetch:
    description: Fetches.
    python: agents:fetch
    input:
      anyOf:
        - {type: object, properties: {url: {type: string}}, required: [url]}
        - {type: object, properties: {text: {type: string}}, required: [text]}
    output: {}
  mail:
    description: Sends.
    python: agents:mail
    input: {type: [object, "null"], additionalProperties: true}
    output: {}
""",
    folder=Path("."),
    name="test",
)
LISTS = 'the policy lists "research", "fetch", "mail"'
WAIT = "keep the handle, and wait for it: `handle = spawn(...)`, then `gather(handle)`"
SEQUENTIAL = (
    "each round waits for its own spawn before the next one starts",
    "spawn all first, then wait once: `gather([spawn(...) for ... in ...])`",
)
DYNAMIC = (
    "which agent this is shows only when the script runs: a reviewer must assume any of the policy",
    "write the agent's name as a text where it is spawned, or loop over a literal list of names",
)


def findings(source: str) -> list[Finding]:
    return list(check(Script("test", source.encode()), POLICY).findings)


def error(rule: str, line: int, column: int, text: str, message: str, fix: str) -> Finding:
    return Finding(rule, Severity.ERROR, line, column, text, message, fix)


def warning(rule: str, line: int, column: int, text: str, message: str, fix: str) -> Finding:
    return Finding(rule, Severity.WARNING, line, column, text, message, fix)


# (script, the one finding, or all of them)
FOUND = [
    # --- agents ---
    ('result = spawn("reserch", {}).result()',
     error("agent-not-in-policy", 1, 16, '"reserch"', 'agent "reserch" is not in the policy', f'did you mean "research"? {LISTS}')),
    ('result = spawn(agent="zzz").result()',
     error("agent-not-in-policy", 1, 22, '"zzz"', 'agent "zzz" is not in the policy', LISTS)),
    ('NAME = "mial"\nresult = gather([spawn(NAME) for n in range(3)])',
     error("agent-not-in-policy", 2, 24, "NAME", 'agent "mial" is not in the policy', f'did you mean "mail"? {LISTS}')),
    ('hs = []\nfor name in ("mail", "fax"):\n    hs.append(spawn(name))\nresult = gather(hs)',
     error("agent-not-in-policy", 3, 21, "name", 'agent "fax" is not in the policy', LISTS)),
    ('plan = [("mail", 1), ("fax", 2)]\nresult = gather([spawn(name) for name, n in plan])',
     error("agent-not-in-policy", 2, 24, "name", 'agent "fax" is not in the policy', LISTS)),
    ('result = gather([spawn(name) for n, name in enumerate(["mail", "fax"])])',
     error("agent-not-in-policy", 1, 24, "name", 'agent "fax" is not in the policy', LISTS)),
    ('result = gather([spawn(name, x) for name, x in {"fax": 1}.items()])',
     error("agent-not-in-policy", 1, 24, "name", 'agent "fax" is not in the policy', LISTS)),
    ('result = spawn("mail" if inputs else "fax").result()',
     error("agent-not-in-policy", 1, 16, '"mail" if inputs else "fax"', 'agent "fax" is not in the policy', LISTS)),
    ('result = spawn(inputs["agent"]).result()', warning("dynamic-agent", 1, 16, 'inputs["agent"]', *DYNAMIC)),
    ('names = ["mail"]\nnames.append(inputs["more"])\nresult = gather([spawn(n) for n in names])',
     warning("dynamic-agent", 3, 24, "n", *DYNAMIC)),
    ('result = spawn(*inputs["what"]).result()', warning("dynamic-agent", 1, 10, 'spawn(*inputs["what"])', *DYNAMIC)),
    ('result = gather(list(map(spawn, ["mail"])))',
     warning("dynamic-agent", 1, 26, "spawn", "spawn is passed on here: which agents it is called with shows only when the script runs",
             "call spawn(...) directly")),
    # --- scopes, timeouts ---
    ('result = spawn("research", {"vendor": "x"}, scopes=["crm:raed"]).result()',
     error("scopes-not-granted", 1, 53, '"crm:raed"',
           'agent "research" is asked with scope "crm:raed"; the policy grants "crm:list", "crm:read"', 'did you mean "crm:read"?')),
    ('result = spawn("mail", scopes=("mail:send",)).result()',
     error("scopes-not-granted", 1, 32, '"mail:send"', 'agent "mail" is asked with scope "mail:send"; the policy grants none',
           'remove "mail:send"')),
    ('result = spawn("mail", scopes="mail:send").result()',
     error("wrong-option", 1, 31, '"mail:send"', "scopes= takes a list of texts", 'write `["mail:send"]`')),
    ('result = spawn("research", {"vendor": "x"}, timeout=61).result()',
     error("timeout-beyond-cap", 1, 53, "61", 'agent "research" may take 60 s at most; asked 61 s', "write `60`, or leave timeout= out")),
    ('result = spawn("mail", timeout=0).result()',
     error("wrong-option", 1, 32, "0", "timeout= takes seconds above 0, as a number", "write for example `60`, or leave timeout= out")),
    ('result = spawn("mail", timeout="60").result()',
     error("wrong-option", 1, 32, '"60"', "timeout= takes seconds above 0, as a number", "write for example `60`, or leave timeout= out")),
    ('result = spawn("mail", timeout=True).result()',
     error("wrong-option", 1, 32, "True", "timeout= takes seconds above 0, as a number", "write for example `60`, or leave timeout= out")),
    ("result = spawn(5).result()",
     error("wrong-option", 1, 16, "5", "spawn() takes the name of an agent first", 'one of "research", "fetch", "mail"')),
    # --- how the API is called ---
    ('result = spawn("mail", time_out=5).result()',
     error("unknown-keyword", 1, 24, "time_out=5", 'spawn() has no keyword "time_out"', "did you mean timeout=?")),
    ('result = spawn("research", vendor="x").result()',
     [error("inputs-break-schema", 1, 10, 'spawn("research", vendor="x")', 'agent "research" refuses its inputs: there are none', 'write spawn("research", {...})'),
      error("unknown-keyword", 1, 28, 'vendor="x"', 'spawn() has no keyword "vendor"', 'put it into the inputs: {"vendor": ...}')]),
    ('result = gather([spawn("mail")], workers=5)',
     error("unknown-keyword", 1, 34, "workers=5", 'gather() has no keyword "workers"', "known here: on_error, return_exceptions, min_ok, enough, timeout")),
    ('result = gather([spawn("mail")], on_error="ignore")',
     error("wrong-option", 1, 43, '"ignore"', 'on_error= is one of "raise", "none", "return"', 'write `"none"`')),
    ('result = gather([spawn("mail")], on_error=None)',
     error("wrong-option", 1, 43, "None", 'on_error= is one of "raise", "none", "return"', 'write `"none"`')),
    ('result = spawn("mail", {}, ["crm:read"]).result()',
     error("wrong-arguments", 1, 28, '["crm:read"]', "spawn() takes agent, inputs without a keyword",
           "write it as a keyword: scopes=, timeout=, retry=, fallback=, accept=, label=")),
    ("result = spawn().result()", error("wrong-arguments", 1, 10, "spawn()", "spawn() takes agent, inputs; agent is missing", "add agent")),
    ("sleep()\nresult = 1", error("wrong-arguments", 1, 1, "sleep()", "sleep() takes seconds; seconds is missing", "add seconds")),
    # --- inputs ---
    ('result = spawn("research").result()',
     error("inputs-break-schema", 1, 10, 'spawn("research")', 'agent "research" refuses its inputs: there are none', 'write spawn("research", {...})')),
    ('result = spawn("research", {}).result()',
     error("inputs-break-schema", 1, 28, "{}", 'agent "research" refuses its inputs: "vendor" is missing', 'add "vendor"')),
    ('result = spawn("research", {"vendor": 5}).result()',
     error("inputs-break-schema", 1, 39, "5", 'agent "research" refuses its inputs: "vendor" is 5, not string', "write a text")),
    ('result = spawn("research", {"vendor": "x", "deep": 1}).result()',
     error("inputs-break-schema", 1, 44, '"deep"', 'agent "research" refuses its inputs: "deep" is unknown', 'did you mean "depth"?')),
    ('result = spawn("research", {"vendor": "x", "zzz": 1}).result()',
     error("inputs-break-schema", 1, 44, '"zzz"', 'agent "research" refuses its inputs: "zzz" is unknown',
           'remove "zzz"; known: depth, either, name, pages, tags, vendor')),
    ('result = spawn("research", {"vendor": "x", "depth": 3}).result()',
     error("inputs-break-schema", 1, 53, "3", 'agent "research" refuses its inputs: "depth" is 3, not one of [1,2]', "write one of [1,2]")),
    ('result = spawn("research", {"vendor": "x", "pages": 0}).result()',
     error("inputs-break-schema", 1, 53, "0", 'agent "research" refuses its inputs: "pages" is 0: 0 is less than the minimum of 1',
           "write what the agent's input schema allows")),
    ('result = spawn("research", {"vendor": "x", "pages": True}).result()',
     error("inputs-break-schema", 1, 53, "True", 'agent "research" refuses its inputs: "pages" is true, not integer', "write a whole number")),
    ('result = spawn("research", {\n    "vendor": inputs["v"],\n    "tags": [{"name": inputs["n"]}, {"nmae": "y"}, *inputs["t"]][:2],\n    "depht": 1,\n}).result()',
     error("inputs-break-schema", 4, 5, '"depht"', 'agent "research" refuses its inputs: "depht" is unknown', 'did you mean "depth"?')),
    ('result = spawn("research", {"vendor": inputs["v"], "tags": ({"name": "a"}, {"name": 1})}).result()',
     error("inputs-break-schema", 1, 85, "1", 'agent "research" refuses its inputs: "name" is 1 in tags.1, not string', "write a text")),
    ('result = spawn("research", "IBM").result()',
     error("inputs-break-schema", 1, 28, '"IBM"', 'agent "research" refuses its inputs: "IBM", not object', "write a dict")),
    ('result = spawn("mail", {"to": {"a", "b"}}).result()',
     error("inputs-not-json", 1, 31, '{"a", "b"}', "inputs are JSON, and this is a set", "write a list")),
    ('result = spawn("mail", {"to": b"x"}).result()',
     error("inputs-not-json", 1, 31, 'b"x"', "inputs are JSON, and this is bytes", "write a text, a number, a list or a dict")),
    ('result = spawn("mail", {1: "x"}).result()',
     error("inputs-not-json", 1, 25, "1", "inputs are JSON, and this is a key that is no text", "write a text, a number, a list or a dict")),
    ('result = spawn("fetch", {"text": 5}).result()',
     error("inputs-break-schema", 1, 25, '{"text": 5}',
           'agent "fetch" refuses its inputs: {"text":5} fits none of the forms that are allowed', "write what the agent's input schema allows")),
    ('result = spawn("fetch", {"text": "x", "txet": 1}).result()',
     error("inputs-break-schema", 1, 39, '"txet"', 'agent "fetch" refuses its inputs: "txet" is unknown', 'did you mean "text"?')),
    # --- what comes of it ---
    ('print("hello")',
     warning("result-never-assigned", 1, 1, 'print("hello")', "the script never assigns `result`: whoever runs it gets null", "end with `result = ...`")),
    ("def f():\n    result = 1\nf()",
     warning("result-never-assigned", 3, 1, "f()", "the script never assigns `result`: whoever runs it gets null", "end with `result = ...`")),
    ('spawn("mail")\nresult = 1',
     warning("spawn-never-used", 1, 1, 'spawn("mail")', "nothing waits for this spawn: it is cancelled when the script ends", WAIT)),
    ('result = []\nfor n in range(3):\n    result.append(spawn("mail").result())',
     warning("sequential-result", 3, 19, 'spawn("mail")', *SEQUENTIAL)),
    ('result = [spawn("mail").result() for n in range(3)]', warning("sequential-result", 1, 11, 'spawn("mail")', *SEQUENTIAL)),
    ('result = [gather(spawn("mail")) for n in range(3)]', warning("sequential-result", 1, 18, 'spawn("mail")', *SEQUENTIAL)),
    ('result = []\nfor n in range(3):\n    result += gather([spawn("mail")])', warning("sequential-result", 3, 23, 'spawn("mail")', *SEQUENTIAL)),
    ('result = []\nfor n in range(3):\n    h = spawn("mail")\n    print(n)\n    result.append(h.result())',
     warning("sequential-result", 3, 9, 'spawn("mail")', *SEQUENTIAL)),
    # --- names of the API ---
    ("log = []\nresult = log",
     warning("api-rebound", 1, 1, "log", "`log` is a name of the API; here it stands for something else", "choose another name, such as `log_`")),
    ("inputs = {}\nresult = inputs",
     warning("api-rebound", 1, 1, "inputs", "`inputs` is a name of the API; here it stands for something else", "choose another name, such as `inputs_`")),
    ("from math import log\nresult = 1",
     warning("api-rebound", 1, 18, "log", "`log` is a name of the API; here it stands for something else", "choose another name, such as `log_`")),
    ("def gather(x):\n    return x\nresult = 1",
     error("api-rebound", 1, 5, "gather", "`gather` is a name of the API and cannot be bound anew", "choose another name, such as `gather_`")),
    ("def f(spawn):\n    return 1\nresult = f(1)",
     error("api-rebound", 1, 7, "spawn", "`spawn` is a name of the API and cannot be bound anew", "choose another name, such as `spawn_`")),
    ("def f():\n    global limits\n    limits = 1\nf()\nresult = 1",
     warning("api-rebound", 3, 5, "limits", "`limits` is a name of the API; here it stands for something else", "choose another name, such as `limits_`")),
    ("class SpawnError(Exception):\n    pass\nresult = 1",
     warning("api-rebound", 1, 7, "SpawnError", "`SpawnError` is a name of the API; here it stands for something else", "choose another name, such as `SpawnError_`")),
    ("del spawn\nresult = 1",
     error("api-rebound", 1, 5, "spawn", "`spawn` is a name of the API and cannot be bound anew", "choose another name, such as `spawn_`")),
    ("def f(inputs):\n    return inputs\nresult = f(1)",
     warning("api-rebound", 1, 7, "inputs", "`inputs` is a name of the API; here it stands for something else", "choose another name, such as `inputs_`")),
    # --- the dialect's remarks are findings too ---
    ("import os\nresult = 1", None),
    ("result = (", None),
    ("```python\nresult = 1\n```", None),
]  # fmt: skip
DIALECT = {"import os\nresult = 1": "import-not-allowed", "result = (": "syntax", "```python\nresult = 1\n```": "code-fence"}


@pytest.mark.parametrize(("source", "finding"), FOUND, ids=[row[0][:60] for row in FOUND])
def test_each_rule_finds_its_mistake_at_its_place_and_says_what_to_write(source, finding):
    found = findings(source)

    if finding is None:
        assert [(one.rule, one.severity) for one in found] == [(DIALECT[source], Severity.ERROR)]
        assert found[0].message and found[0].fix
    else:
        assert found == (finding if isinstance(finding, list) else [finding])


@pytest.mark.parametrize(
    "source",
    [
        'result = spawn("research", {"vendor": "x", "depth": 2}, scopes=["crm:read"], timeout=60, label="a").result()',
        'result = gather([spawn("mail", {"n": n}) for n in range(3)], on_error="none", timeout=5)',
        'a = spawn("mail")\nb = spawn("mail")\nresult = gather(a, b)',
        'hs = [spawn("mail") for n in range(3)]\nresult = [h.result() for h in hs]',
        'hs = []\nfor n in range(3):\n    hs.append(spawn("mail"))\nresult = [h.result() for h in as_completed(hs)]',
        'result = spawn("research", {"vendor": inputs["v"], "pages": len(inputs), "either": f"{inputs}"}).result()',
        'result = spawn("research", {**inputs}).result()',
        'result = spawn("fetch", {"url": inputs["url"]}).result()',
        'result = spawn("fetch", {"text": "x"}).result()',
        'result = spawn("research", inputs).result()',
        'h = spawn("mail")\nresult = spawn("research", {"vendor": h["name"]}).result()',
        'result = spawn("research", {"vendor": "x", "tags": [{"name": inputs["t"]}], "either": inputs.get("e")}).result()',
        'while inputs["go"]:\n    inputs["go"] -= spawn("mail").result()\n    if inputs["go"] < 5: break\nresult = 1',
        'def main():\n    global result\n    result = 1\nmain()',
        "return 5",
        'try:\n    result = spawn("mail").result()\nexcept SpawnError as error:\n    result = str(error)',
        'from time import sleep\nsleep(1)\nresult = 1',
        'class Agent:\n    name = "fax"\n    h = spawn("mail")\ndef ask(name, h=None):\n    if h: return 1\n    return spawn(name, {}).result()\nresult = ask("mail")',
        'def ask(vendor, depth=None):\n    if depth is None: return spawn("research", {"vendor": vendor})\n    return spawn("research", {"vendor": vendor, "depth": depth})\nresult = gather(ask("a"), ask("b", 2))',
        'def more(hs): hs.append(None)\nhs = [spawn("mail")]\nmore(hs)\nresult = [h.result() for h in hs if h]',
        'h = spawn("mail")\nh = None\nif h: print(1)\nresult = 1',
        'h = spawn("mail") if inputs else None\nresult = h.result() if h else None',
        'hs = {n: spawn("mail") for n in "ab"}\nresult = {"asked": sorted(hs), "n": len(hs), "out": gather(hs)}',
        'hs = [spawn("mail") for n in "ab"]\npending = list(hs)\nwhile pending:\n    h = pending.pop()\n    if h.ok and h is not None and h in hs and h != hs[0]: print(h, h.label, h.agent)\nresult = 1',
        'h = spawn("mail")\nt = h.then(lambda h: h["n"] + 1 if h else 0)\nresult = t.result()',
        'try:\n    a = spawn("mail").result()\nexcept SpawnError:\n    a = None\nresult = spawn("mail", {"a": a}).result()',
        'first = gather([spawn("mail", {"v": v}) for v in inputs], on_error="none")\nresult = gather([spawn("mail", {"v": f}) for f in first])',
        'found = gather([spawn("mail", {"v": v}) for v in inputs])\nprint(found)\nresult = gather([spawn("mail", {"v": f}) for f in found])',
        'state = inputs\nfor n in range(3):\n    state["draft"] = spawn("mail", {"draft": state}).result()\nresult = state',
        'notes = []\nfor n in range(3):\n    notes.append(spawn("mail", {"notes": notes}).result())\nresult = notes',
        'def ask(draft): return spawn("mail", {"draft": draft}).result()\ndraft = ""\nfor n in range(3):\n    draft = ask(draft)\nresult = draft',
        'result = next(x for x in (spawn("mail", {"n": n}).result() for n in range(3)) if x["ok"])',
        'import time\nend = time.time() + 9\nh = spawn("mail")\nwhile time.time() < end:\n    try: gather(h, timeout=1)\n    except SpawnError: pass\nresult = 1',
        'text = spawn("mail", {"a": f"{inputs} is {inputs!r}", "b": "%s" % inputs}).result()\nresult = str(text)',
        'result = gather([spawn("mail", accept={"type": "object", "properties": inputs}, retry=Retry(2, on=inputs["on"]))], min_ok=inputs["n"])',
        'class Ledger:\n    log = []\n    def spawn(self): return 1\nresult = Ledger().spawn()',
        'result = spawn("mail", {"naïve": "é" * 3}).result()',
        'for spawned in [spawn("mail") for n in range(2)]:\n    result = spawned.result()',
    ],
)  # fmt: skip
def test_what_is_right_or_cannot_be_known_is_no_finding(source):
    assert findings(source) == []


def test_columns_count_characters_and_not_bytes():
    found = findings('é = "日本"; result = spawn("fax").result()')

    assert [(one.line, one.column, one.text) for one in found] == [(1, 26, '"fax"')]


def test_all_findings_of_a_script_are_told_in_one_pass_in_the_order_of_its_lines():
    found = findings('import os\nspawn("fax")\nlog = 1\nspawn("mail", timeout=-1, x=2)')

    assert [(one.line, one.rule) for one in found] == [
        (1, "import-not-allowed"), (2, "spawn-never-used"), (2, "agent-not-in-policy"), (3, "api-rebound"),
        (4, "result-never-assigned"), (4, "spawn-never-used"), (4, "wrong-option"), (4, "unknown-keyword"),
    ]  # fmt: skip


def test_a_verdict_is_accepted_exactly_when_no_finding_is_an_error():
    verdict = check(Script("test", b'spawn("mail")'), POLICY)

    assert verdict.accepted and len(verdict.findings) == 2
    assert not check(Script("test", b'result = spawn("fax").result()'), POLICY).accepted


def test_imports_that_the_policy_leaves_out_are_refused():
    policy = load_policy_text("version: 1\nagents: {}\nimports: [json]", folder=Path("."), name="p")
    verdict = check(Script("test", b"import json\nimport re\nresult = 1"), policy)

    assert [(one.rule, one.line) for one in verdict.findings] == [("import-not-allowed", 2)]


HOSTILE = {
    "nothing": b"",
    "no UTF-8": b"result = '\xff'",
    "a NUL": b"result = 1\0",
    "ten megabytes": b"#" * 10_000_000,
    "brackets": b"(" * 100_000,
    "deep": b"-" * 5_000 + b"1",
    "a long sum": b"result = 1" + b" + 1" * 20_000,
    "deep calls": b"spawn(" * 60 + b"1" + b")" * 60,
    "a number of a million bits": b'result = spawn("mail", {"a": 0x' + b"f" * 250_000 + b"}, timeout=0x" + b"f" * 9_000 + b").result()",
    "rounds without end": b"for a in range(10**9):\n  for b in range(0xffffffffffffffff):\n    spawn('mail')\nresult = 1",
    "an escaped surrogate": b'result = spawn("\\ud800", {"\\udfff": "\\ud800"}).result()',
    "ten thousand mistakes": b'spawn("fax", x=1)\n' * 5_000,
    "ten thousand mistakes on one line": '"é"; '.encode() + b'spawn("fax");' * 10_000,
    "loops over one long list": b"L = [" + b'"mail",' * 900 + b"]\n"
        + b"".join(b"for n%d in L:\n  spawn(n%d)\n" % (n, n) for n in range(2_000)),
    "functions that double": b"def f0(): return spawn('mail')\n"
        + b"".join(b"def f%d(): return [f%d(), f%d()]\n" % (n, n - 1, n - 1) for n in range(1, 200)) + b"result = f199()",
    "functions that call each other": b"def f(): return [g(), spawn('mail')]\ndef g(): return f()\nresult = f()",
    "waves of waves": b"outs = gather([spawn('mail') for v in inputs])\n" + b"for o in outs:\n  spawn('mail', {'o': o})\n" * 800,
    "loops without an end": b"while True:\n  spawn('mail')\n" * 800,
    "loops in loops": b"".join(b"  " * n + b"while True:\n" for n in range(16)) + (b"  " * 16 + b"x.pop()\n") * 800,
    "a loop of a thousand waits": b"for v in inputs:\n" + b"  x = spawn('mail', v).result()\n  y.append(x)\n" * 800,
    "functions that pass options on": b"def f0(a, **o): return spawn(a, **o)\n"
        + b"".join(b"def f%d(a, **o): return f%d(a, **o)\n" % (n, n - 1) for n in range(1, 800)) + b"result = f799('mail')",
    "functions that are called from everywhere": b"def f(a): return spawn(a)\n"
        + b"".join(b"def g%d(a): return [%s]\n" % (n, b"f(a)," * 100) for n in range(2)) + b"def h(a): return [%s]\nh('mail')" % (b"g0(a),g1(a)," * 90),
    "names made of names": b"x0 = [spawn('mail')]\n" + b"".join(b"x%d = x%d + x%d\n" % (n, n - 1, n - 1) for n in range(1, 800)) + b"for q in x799: spawn('mail')",
    "lists that grow from lists": b"".join(b"l%d = []\n" % n for n in range(300))
        + b"".join(b"for i in l%d:\n  l%d.append(spawn('mail'))\n" % (n, n + 1) for n in range(299)),
    "handles asked for their truth": b"h = spawn('mail')\n" * 800 + b"if h: pass\n" * 800,
    "methods that call each other twice": b"class A:\n" + b"".join(b"  def m%d(self): return [self.m%d(), self.m%d()]\n" % (n, n + 1, n + 1) for n in range(500))
        + b"  def m500(self): return spawn('mail')\nresult = A().m0()",
    "a chain through a loop": b"for a in inputs:\n" + b"".join(b" x%d = spawn('mail', x%d)\n" % (n, n + 1) for n in range(800)),
    "thens in thens": b"h = spawn('mail')\n" + b"h.then(lambda x: spawn('mail', x).then(lambda y: spawn('mail', y)))\n" * 400,
    "many retries": b"R = Retry(99, on=('x',) * 50)\n" + b"spawn('mail', retry=R, fallback=['mail', 'fax'])\n" * 800,
    "a name that is itself": b"a = a\nspawn(a)\nfor b in b:\n  spawn(b)",
    "one name looped into itself": b"for n in [n]:\n  spawn(n)",
}  # fmt: skip


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_source_makes_the_check_raise_or_drown(source):
    verdict = check(Script("hostile", source), POLICY)

    assert len(verdict.findings) <= 200
    for finding in verdict.findings:
        assert finding.line >= 1 and finding.column >= 1 and finding.message and finding.fix
        f"{finding.text}{finding.message}{finding.fix}".encode()


def test_a_caller_deep_in_its_own_stack_gets_a_verdict_too():
    def deep(levels: int) -> object:
        return deep(levels - 1) if levels else check(Script("deep", b"result = " + b"[" * 60 + b"1" + b"]" * 60), POLICY)

    assert deep(650) is not None
