"""The check and the guest agree: what the check calls an error is refused when it runs, what it lets pass is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.check import check
from runner.guest import dialect
from runner.models import Script, Severity
from runner.policy import load_policy_text
from tests.inside import begin, pipe, run  # noqa: F401

POLICY = load_policy_text(
    'version: 1\nagents: {a: {description: A., python: "m:f", input: true, output: true, scopes: [x], retries: 100}}',
    folder=Path("."),
    name="test",
)
SETUP = "h, g = spawn('a', {}), spawn('a', {})\nt = f'{h}!'\nhs = [h, g]\n"

REFUSED = [
    'f"{h!r}"', 'f"{h!a}"', 'f"{h:>10}"', 'f"{h[\'x\']:.2f}"', 'f"{t:>3}"', '"%s" % h', '"%s %s" % (1, h)', "str(h)", "format(h)",
    '"{:>5}".format(h)', '"{0!r}".format(h)', '"{x!r:>4}".format(x=h)',
    "1 if h else 2", "h and 1", "not h", "h or 1", "[1 for n in [1] if h]", "bool(h)", "not t",
    "len(h)", "list(h)", "[x for x in h]", "[x for x in h['hits']]", "sum(h)", "sorted(h)", "dict(h)", "tuple(h)", "any(h)", "int(h)",
    "float(h)", "round(h)", "abs(h)", "enumerate(h)", "zip(h, [1])", "next(h)", "iter(h)", "reversed(h)",
    "h + 1", "h - 1", "2 * h", "h / 2", "h + g", "h['x'] + g['y']", "h % 2", "h ** 2", "-h", "h < g", "h >= 1", "h == 1", "'x' != h",
    "'x' in h", "1 not in h['x']", "t['x']", "t[:3]",
    "h.strip()", "h.status", "h['x'].lower()", "h.items()", "h.wait()",
    "h.result(timeout=5)", "h.result(5)", "h.then()", "h.then(print, 1)", "h.cancel(True)",
    "gather(hs, on_error='ignore')", "gather(hs, on_error=None)", "gather(hs, min_ok=True)", "gather(hs, enough=1.5)", "gather(hs, min_ok=-1)",
    "gather(hs, min_ok=1, enough=1)", "gather(hs, timeout='5')", "gather(hs, timeout=-1)", "gather(hs, return_exceptions='yes')", "gather(hs, workers=5)",
    "first_ok()", "first_ok(h, g)", "as_completed()", "as_completed(hs, 5)", "sleep('1')", "sleep(-1)", "sleep()", "sleep(True)",
    "spawn('a', {}, ['x'])", "spawn()", "spawn(5)", "spawn('a', {}, scopes='x')", "spawn('a', {}, timeout=0)", "spawn('a', {}, timeout='60')",
    "spawn('a', {}, timeout=True)", "spawn('a', {}, retry=True)", "spawn('a', {}, retry=-1)", "spawn('a', {}, retry='2')", "spawn('a', {}, retry=101)",
    "spawn('a', {}, label=5)", "spawn('a', {}, fallback=5)", "spawn('a', {}, tiemout=5)", "spawn('a', {}, accept='x')", "spawn('a', {}, accept=[1])",
    "spawn('a', {'x': {1}})", "spawn('a', {'x': b'x'})", "spawn('a', {1: 2})", "spawn('a', {'x': 1e999})",
    "Retry(attempts='3')", "Retry(True)", "Retry(backoff='2')", "Retry(max_backoff=-1)", "Retry(on='failed')", "Retry(on=['timeout'])", "Retry(on=('denied',))",
    "Retry(tries=3)", "Fallback()", "Fallback('a', ['x'])",
]  # fmt: skip

TAKEN = [
    'f"{h} {g[\'x\']} {t}"', 'f"{h!s}"', '"a" + h', 'h + "b"', "t + h", "h + t", "t + t", '", ".join(hs)', '"{} {x}".format(h, x=g)', 'f"{1!r} {2:>5}"',
    '"%s" % 1', "repr(h)", "ascii(h)", "h == g", "h != g", "h == None", "h is None", "h in hs", "g not in hs", "hs.index(g)", "{h: 1}", "{h, g}", "sorted([1])",
    "h['x']", "h['x'][0]['y']", "h['x'][1:3]", "h[-1]", "h.agent", "h.label", "h.then(lambda x: x['y'] + 1)", "h.cancel()", "len(hs)", "list(hs)",
    "[x for x in hs]", "print(h, t)", "log(h, n=1)", "isinstance(h, Handle)", "1 if hs else 2", "hs and 1", "spawn('a', {'x': h, 'y': [g['z'], t]})",
    "spawn('a')", "spawn('a', None)", "spawn(agent='a', inputs={})", "spawn('a', {}, scopes=['x'], timeout=1.5, retry=2, fallback='a', accept={}, label='l')",
    "spawn('a', {}, scopes=None, timeout=None, retry=None, fallback=None, accept=None, label=None)", "spawn('a', {}, scopes=('x',), fallback=['a', Fallback('a', scopes=['x'])])",
    "spawn('a', {}, retry=Retry(3, 1, max_backoff=5, on=['failed', 'timed_out']))", "spawn('a', {}, accept=True)", "spawn('a', [1, (2, 3)])", "spawn('a', {}, retry=0)",
    "Retry()", "Retry(on=())", "Fallback('a')", "gather(hs[:0], min_ok=0)", "gather([], enough=0, timeout=0)", "gather([], return_exceptions=True)", "gather()", "sleep(0)",
]  # fmt: skip


def errors(source: str) -> list[str]:
    found = check(Script("test", f"{source}\nresult = 1".encode()), POLICY).findings
    return [one.rule for one in found if one.severity is Severity.ERROR]


@pytest.mark.parametrize("expression", REFUSED)
def test_what_the_check_calls_an_error_is_refused_when_it_runs(pipe, expression):  # noqa: F811
    source = f"{SETUP}x = {expression}"

    assert errors(source)
    with pytest.raises(Exception) as raised:  # noqa: PT011
        run(source)
    assert not isinstance(raised.value, (AssertionError, dialect.EndOfRun))


@pytest.mark.parametrize("expression", TAKEN)
def test_what_the_guest_takes_is_no_error(pipe, expression):  # noqa: F811
    source = f"{SETUP}x = {expression}"

    run(source)
    assert errors(source) == []
