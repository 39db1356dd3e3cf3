"""How long the check of a 200-line script takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Figure, p50, timed

BLOCK = '''
def wave_{n}(items, depth=2):
    """Ask again where the first pass was unsure."""
    handles = [spawn("noop", {{"n": item}}, label=f"wave {n}: {{item}}") for item in items]
    found = {{}}
    for item, answer in zip(items, gather(handles, on_error="none")):
        if answer is None or answer["n"] < depth:
            found[item] = None
            continue
        found[item] = answer["n"] * 2 + len(found)
    total = sum(value for value in found.values() if value)
    return sorted(found.items(), key=lambda pair: str(pair)), total

'''


def script_of(lines: int) -> str:
    """Return an ordinary script of about this many lines."""
    blocks, n = [], 0
    while sum(block.count("\n") for block in blocks) < lines - 3:
        blocks.append(BLOCK.format(n=n))
        n += 1
    return "import json\n" + "".join(blocks) + f"result = [wave_{n - 1}([1, 2, 3])]\n"


def figures() -> Iterator[Figure]:
    from runner.check import check
    from runner.models import Script
    from runner.policy import load_policy

    policy = load_policy(Path(__file__).parent / "policy.yaml")
    source = script_of(200)
    script = Script("bench", source.encode())
    verdict = check(script, policy)
    assert verdict.accepted, verdict.findings
    plain = p50(timed(30, lambda: compile(source, "<script>", "exec"))) * 1000
    taken = p50(timed(30, lambda: check(script, policy))) * 1000
    lines = source.count("\n")
    yield Figure(f"check of a {lines}-line script, p50", taken, "ms", "<= 20", f"compile() {plain:.2f} ms")
