"""Scripts that would say what the protocol forbids, or see what no answer told: they raise, or see the same again."""

from __future__ import annotations

import pytest

from runner.guest import wire
from tests.inside import begin, pipe, run  # noqa: F401
from tests.runs import run_script

LIES = """
class S(str):
    def __len__(self): return 1
    def __eq__(self, other): return True
    def __hash__(self): return 1
    def __getitem__(self, at): return self
    def encode(self, *a): return self
    def decode(self, *a): return {}
    def join(self, parts): return {}
    def __str__(self): return self
class E(Exception):
    def __str__(self): return S("x" * 30_000)
"""


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("spawn(S('x' * 300))", ValueError),
        ("spawn('a', label=S('x' * 2_000))", ValueError),
        ("spawn('a', scopes=[S('x' * 300)])", TypeError),
        ("spawn('a', retry=Retry(on=[S('denied')]))", ValueError),
        ("spawn('a', fallback=S('x' * 300))", ValueError),
        ("Retry().__init__(attempts=1_000)", AttributeError),
    ],
)
def test_a_text_that_lies_about_itself_is_refused_where_it_stands(pipe, statement, error):  # noqa: F811
    with pytest.raises(error):
        run(f"{LIES}{statement}")
    assert pipe.of(wire.Spawn) == []


def test_what_a_text_of_the_script_says_of_itself_reaches_no_frame(pipe):  # noqa: F811
    """Each message is decoded as the host decodes it: a text that is none would end the run as a broken protocol."""
    run(
        f"""{LIES}
print(1, 2, sep=S(", "), end=S("."))
log(E())
def fail(output): raise E()
h = spawn("a").then(fail)
h.error
p = spawn("b")["no"]
p.error.message = {{"x": "y" * 30_000}}
q = p.then(fail)
q.error
"""
    )

    printed = [output.text for output in pipe.of(wire.Output)]
    assert printed == ["1, 2.", "x" * 30_000]
    assert [len(said.message) <= wire.MAX_MESSAGE_CHARS for said in pipe.of(wire.Settled)] == [True, True]


def test_a_limit_that_the_script_has_renamed_is_told_as_the_limit(begin):  # noqa: F811
    pipe = begin(spawn_limit=1)  # noqa: F811
    run(
        """
h = spawn("a")
try:
    spawn("b")
except LimitReached as error:
    limit = error
limit.kind, limit.message = "mine", ["x"]
def fail(output): raise limit
h.then(fail).error
"""
    )

    assert [(said.kind, said.message) for said in pipe.of(wire.Settled)] == [("limit_reached", "['x']")]


async def test_samples_of_a_distribution_come_from_the_seed_of_the_run(tmp_path):
    source = (
        "from statistics import NormalDist\nresult = (NormalDist(0, 1) + 1).samples(3) + NormalDist(5, 2).samples(3)"
    )
    first, again, other = [
        (await run_script(tmp_path / str(n), source, seed=seed)).result.result for n, seed in enumerate((7, 7, 8))
    ]

    assert first == again
    assert first != other
