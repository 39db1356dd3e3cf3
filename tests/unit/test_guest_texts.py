"""Handles in texts and as parts: what a script writes, what travels, and what is refused with the fix."""

from __future__ import annotations

import pytest

from runner.guest import wire
from runner.guest.errors import DependencyFailed, SpawnFailed
from tests.inside import ListPipe, begin, pipe, result, run  # noqa: F401

P = wire.Part
WHOLE = P(1)


def ref(pipe: ListPipe) -> object:  # noqa: F811
    """What stands for the inputs of the last spawn."""
    [fill] = pipe.of(wire.Spawn)[-1].fills
    assert fill.at == ()
    return fill.ref


TEXTS = [
    ('f"{h}"', (WHOLE,)),
    ("f'a {h} b {g[\"x\"][0]}'", ("a ", WHOLE, " b ", P(2, ("x", 0)))),
    ('f"{1} {h} {True} {None} {2.5}"', ("1 ", WHOLE, " True None 2.5")),
    ('f"{h}{g}{h}{g}{h}{g}"', (WHOLE, P(2), WHOLE, P(2), WHOLE, P(2))),
    ('f"{h!s}"', (WHOLE,)),
    ('f"{h} {3.14159:.2f} {[1]} {\'x\'!r}"', (WHOLE, " 3.14 [1] 'x'")),
    ("f'{f\"<{h}>\"}!'", ("<", WHOLE, ">!")),
    ('"a" + h', ("a", WHOLE)),
    ('h + "a"', (WHOLE, "a")),
    ('"a" + h + "b" + g["x"]', ("a", WHOLE, "b", P(2, ("x",)))),
    ('f"{h}" + g', (WHOLE, P(2))),
    ('h + f"{g}"', (WHOLE, P(2))),
    ('f"a{h}" + f"b{g}"', ("a", WHOLE, "b", P(2))),
    ('", ".join([h, "x", g])', (WHOLE, ", x, ", P(2))),
    ('"".join((h, g))', (WHOLE, P(2))),
    ('"-".join(one for one in [f"1{h}", "2"])', ("1", WHOLE, "-2")),
    ('", ".join({h: 1, "x": 2})', (WHOLE, ", x")),
    ('", ".join(map(lambda one: f"<{one}>", [h, g]))', ("<", WHOLE, ">, <", P(2), ">")),
    ('str.join("+", [h, g])', (WHOLE, "+", P(2))),
    ('(lambda j: j([h, g]))("+".join)', (WHOLE, "+", P(2))),
    ('getattr("+", "join")([h, g])', (WHOLE, "+", P(2))),
    ('list(map(", ".join, [[h, g]]))[0]', (WHOLE, ", ", P(2))),
    ('"{} and {}".format(h, g)', (WHOLE, " and ", P(2))),
    ('"{1} {0!s} {{}} {2:>4}".format(h, g, 7)', (P(2), " ", WHOLE, " {}    7")),
    ('"{a}: {b[x]}".format(a=h, b={"x": g})', (WHOLE, ": ", P(2))),
    ('"{a}{0[hits][0]}".format(h, a=1)', ("1", P(1, ("hits", 0)))),
    ('"{a} {b:{w}}".format_map({"a": h, "b": 1, "w": 3})', (WHOLE, "   1")),
    ('str.format("{}", h)', (WHOLE,)),
    ("[f'{x}: {h}' for x in ['k']][0]", ("k: ", WHOLE)),
    ("(lambda x: f'{x}: {h}')('k')", ("k: ", WHOLE)),
    ("[*(f'{x}{y}' for x in [h] for y in [g])][0]", (WHOLE, P(2))),
]


@pytest.mark.parametrize(("expression", "parts"), TEXTS, ids=[text for text, _ in TEXTS])
def test_a_text_with_handles_travels_as_its_pieces(pipe, expression, parts):  # noqa: F811
    run(f"h, g = spawn('a'), spawn('b')\nspawn('c', {expression})")

    assert ref(pipe) == wire.Text(parts)
    assert pipe.of(wire.Wait) == []


def test_texts_grow_by_augmented_assignment(pipe):  # noqa: F811
    run("h = spawn('a')\nt = 'x'\nfor n in range(3):\n    t += f'{n}' + h\nspawn('c', t)")

    assert ref(pipe) == wire.Text(("x0", WHOLE, "1", WHOLE, "2", WHOLE))


def test_a_class_and_a_generator_can_make_texts(pipe):  # noqa: F811
    run(
        """
class Report:
    title = f"{1}: "
    def __init__(self, lines): self.lines = lines
    def text(self): return self.title + "\\n".join(f"- {line}" for line in self.lines)
spawn('c', Report([spawn('a'), "x"]).text())
"""
    )

    assert ref(pipe) == wire.Text(("1: - ", WHOLE, "\n- x"))


@pytest.mark.parametrize(
    "expression",
    ['f"{1}{2}"', 'f"a"', '"".join([])', '"-".join(["a", "b"])', '"{} {}".format(1, 2)', '"a" + "b"', 'f"{[1, None]}"'],
)
def test_a_text_without_handles_is_a_str(pipe, expression):  # noqa: F811
    assert type(result(f"h = spawn('a')\nresult = {expression}")) is str


REFUSED = [
    ('f"{h:>10}"', 'a format is for a value, and a handle is none yet: write f"{h}", or f"{h.result():...}"'),
    ('f"{h:{w}}"', 'a format is for a value, and a handle is none yet: write f"{h}", or f"{h.result():...}"'),
    ('"{:>10}".format(h)', 'a format is for a value, and a handle is none yet: write f"{h}", or f"{h.result():...}"'),
    ('format(h)', 'a format is for a value, and a handle is none yet: write f"{h}", or f"{h.result():...}"'),
    ('f"{h!r}"', "handles have no `!r` before their outcome is there: write {h}, or {h.result()!r}"),
    ('f"{h!a}"', "handles have no `!r` before their outcome is there: write {h}, or {h.result()!r}"),
    ('"{!r}".format(h)', "handles have no `!r` before their outcome is there: write {h}, or {h.result()!r}"),
    ('str(h)', 'handles have no text before their outcome is there: write f"{h}", or `h.result()`'),
    ('list(map(str, [h]))', 'handles have no text before their outcome is there: write f"{h}", or `h.result()`'),
    ('"%s" % h', 'handles have no text before their outcome is there: write f"{h}", or `h.result()`'),
    ('"%s" % (h,)', 'handles have no text before their outcome is there: write f"{h}", or `h.result()`'),
    ('"%(a)s" % {"a": h}', 'handles have no text before their outcome is there: write f"{h}", or `h.result()`'),
    ('"%r" % (h,)', 'handles have no text before their outcome is there: write an f-string, f"... {h}"'),
    ('"%s" % [h]', 'handles have no text before their outcome is there: write an f-string, f"... {h}"'),
    ('str([h])', "handles in a list or dict have no text yet: write gather(...) around it first"),
    ('str({"a": [h]})', "handles in a list or dict have no text yet: write gather(...) around it first"),
    ("h + g", 'handles are not added to each other: write f"{a}{b}" for a text, or a.result() + b.result()'),
    ('h["a"] + g', 'handles are not added to each other: write f"{a}{b}" for a text, or a.result() + b.result()'),
    ("h + 1", "handles are not numbers or texts: write `h.result()` where the value is needed"),
    ("[1] + h", "handles are not numbers or texts: write `h.result()` where the value is needed"),
    ("sum([h, h])", "handles are not numbers or texts: write `h.result()` where the value is needed"),
    ('f"{h}"[0]', "a text made of handles has no parts before they are there: write h.result()[...]"),
    ('f"{h}"[:3]', "a text made of handles has no parts before they are there: write h.result()[...]"),
    ('f"{h}" * 2', "handles are not numbers or texts: write `h.result()` where the value is needed"),
    ('", ".join([h, 1])', "sequence item 1: expected str instance, int found"),
    ('", ".join(h)', "handles cannot be iterated: write `for x in h.result()`"),
    ('"x" in f"{h}"', "handles cannot be searched: write `x in h.result()`"),
]


@pytest.mark.parametrize(("expression", "message"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_a_handle_cannot_be_in_a_text_is_refused_with_what_to_write(pipe, expression, message):  # noqa: F811
    with pytest.raises(TypeError) as refused:
        run(f"h, g, w = spawn('a'), spawn('b'), 4\nx = {expression}")

    assert str(refused.value) == message


PRINTED = [
    ("print(h)", "<Handle 1 research>\n"),
    ("print('got', g, sep=': ')", "got: <Handle 2 mail 'it'>\n"),
    ("print(h['hits'][0][:3])", '<Handle 1 research ["hits"][0][:3]>\n'),
    ("print(f'asked {h} and {g[\"x\"]}')", "asked <Handle 1 research> and <Handle 2 mail 'it' [\"x\"]>\n"),
    ("print([h, f'a {g}'])", "[<Handle 1 research>, \"a <Handle 2 mail 'it'>\"]\n"),
    ("print({'a': h})", "{'a': <Handle 1 research>}\n"),
    ("print(f'{[h]} left')", "[<Handle 1 research>] left\n"),
    ("print('{}'.format([h]))", "[<Handle 1 research>]\n"),
    ("print(repr(h))", "<Handle 1 research>\n"),
    ("log(h)", "<Handle 1 research>"),
    ("log(f'sent {h}')", "sent <Handle 1 research>"),
    ("log([h])", "[<Handle 1 research>]"),
    ("print(h.then(len))", "<Handle 3 research>\n"),
]


@pytest.mark.parametrize(("statement", "text"), PRINTED, ids=[text for text, _ in PRINTED])
def test_print_and_log_show_number_agent_and_label_and_never_the_state(pipe, statement, text):  # noqa: F811
    run(f"h, g = spawn('research'), spawn('mail', label='it')\n{statement}")

    assert pipe.printed == text


def test_what_is_shown_does_not_change_when_the_outcome_is_there(pipe):  # noqa: F811
    run("h = spawn('a', label='l')\nprint(h, f'{h}!')\nh.result()\nprint(h, f'{h}!')")

    first, second = pipe.printed.splitlines()
    assert first == second == "<Handle 1 a 'l'> <Handle 1 a 'l'>!"


def test_a_list_of_handles_in_a_text_can_be_shown_but_goes_nowhere(pipe):  # noqa: F811
    run("h = spawn('a')\nt = f'left: {[h]}'\nprint(t + '!')")
    assert pipe.printed == "left: [<Handle 1 a>]!\n"

    for use in ("spawn('b', {'t': t})", "t.result()", "gather([t])", "t.then(len)", "t.cancel()"):
        with pytest.raises((TypeError, Exception), match=r"which can only be printed: write gather\(\.\.\.\) around"):
            run(f"h = spawn('a')\nt = f'left: {{[h]}}'\n{use}")


def test_an_error_raised_with_a_handle_in_its_message_still_has_one(pipe):  # noqa: F811
    from runner.guest.values import plain_text

    with pytest.raises(ValueError) as raised:
        run("h = spawn('a')\nraise ValueError(f'{h} is late')")

    assert plain_text(raised.value, 100) == "<Handle 1 a> is late"


# --- parts -----------------------------------------------------------------------------------

PATHS = [
    ('h["a"]', ("a",)),
    ('h["a"][0]["b"]', ("a", 0, "b")),
    ("h[-1]", (-1,)),
    ("h[1:3]", ((1, 3, None),)),
    ("h[:-1][::2]", ((None, -1, None), (None, None, 2))),
]


@pytest.mark.parametrize(("expression", "path"), PATHS, ids=[text for text, _ in PATHS])
def test_a_part_travels_as_its_path(pipe, expression, path):  # noqa: F811
    run(f"h = spawn('a')\nspawn('b', {{'x': [1, {expression}]}})")

    [fill] = pipe.of(wire.Spawn)[-1].fills
    assert (fill.at, fill.ref) == (("x", 1), P(1, path))
    assert pipe.of(wire.Spawn)[-1].inputs == {"x": [1, None]}


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ("1.5", TypeError, "a part of a handle is named by a key, index or slice, not by a float: write h.result()[...]"),
        ("True", TypeError, "a part of a handle is named by a key, index or slice, not by a bool: write h.result()[...]"),
        ("None", TypeError,
         "a part of a handle is named by a key, index or slice, not by a NoneType: write h.result()[...]"),
        ("h", TypeError, "a part of a handle is named by a key, index or slice, not by a handle: write h.result()[...]"),
        ("1, 2", TypeError, "a part of a handle is named by a key, index or slice, not by a tuple: write h.result()[...]"),
        ("'a':", TypeError, "a part of a handle is named by a key, index or slice, not by a slice: write h.result()[...]"),
        ("::0", ValueError, "slice step cannot be zero"),
        ("2**31", TypeError, "a part of a handle is named by a key, index or slice, not by a int: write h.result()[...]"),
    ],
)  # fmt: skip
def test_a_part_is_named_by_key_index_or_slice(pipe, key, error, message):  # noqa: F811
    with pytest.raises(error) as refused:
        run(f"h = spawn('a')\nx = h[{key}]")

    assert str(refused.value) == message


def test_a_part_goes_as_deep_as_a_value(pipe):  # noqa: F811
    with pytest.raises(ValueError, match="at most 64 levels down"):
        run("h = spawn('a')\nfor n in range(65): h = h['x']")


VALUES = [
    ('h["said"]["n"]', 3),
    ('h["said"]["hits"][1]', "b"),
    ('h["said"]["hits"][-1][0]', "c"),
    ('h["said"]["hits"][:2]', ["a", "b"]),
    ("f'n is {h[\"said\"][\"n\"]}, {h[\"said\"][\"hits\"][0]}'", "n is 3, a"),
    ("f'{h[\"said\"][\"hits\"][:2]}{h[\"said\"][\"none\"]}'", '["a","b"]null'),
    ("f'{h[\"said\"][\"n\"]}{g[\"said\"]}'", '3{"z":[1.5,true],"ä":"é"}'),
    ('"; ".join([h["said"]["hits"][0], g["said"]["ä"]])', "a; é"),
]
MADE = "h = spawn('a', {'n': 3, 'hits': ['a', 'b', 'cd'], 'none': None})\ng = spawn('b', {'ä': 'é', 'z': [1.5, True]})\n"


@pytest.mark.parametrize(("expression", "value"), VALUES, ids=[text for text, _ in VALUES])
def test_parts_and_texts_have_results_themselves_the_same_as_the_host_fills_in(pipe, expression, value):  # noqa: F811
    names = run(f"{MADE}x = {expression}\nc = spawn('c', {{'x': x}})\nresult = x.result()\nc.result()")

    assert names["result"] == value
    assert names["x"].result() is names["result"] and names["x"].ok and names["x"].error is None
    assert pipe.answers.filled[3] == {"x": value}


def test_a_text_waits_for_all_that_it_is_made_of_at_once(pipe):  # noqa: F811
    run("a, b = spawn('a', 1), spawn('b', 2)\nresult = f'{a[\"said\"]}{b[\"said\"]}{a[\"said\"]}'.result()")

    assert pipe.waited == [((1, 2), 2, "ok", "keep")]


def test_a_part_that_is_not_there_fails_with_what_is(pipe):  # noqa: F811
    names = run(f"{MADE}x = h['said']['hit']\nresult = x.ok")

    error = names["x"].error
    assert names["result"] is False and type(error) is DependencyFailed
    assert str(error) == 'agent "a": the output["said"]["hit"] is not there: it has "n", "hits", "none"'
    assert (error.agent, error.label, error.attempts, error.cause) == ("a", None, 0, None)
    assert names["x"].error is error


def test_a_part_or_text_of_what_failed_has_that_failure(pipe):  # noqa: F811
    pipe.answers.takes = lambda spawn: {"a": 2, "b": 1, "c": 3}[spawn.agent]
    names = run(
        """
a, b, c = spawn('a', {'fail': 'failed'}), spawn('b', {'fail': 'failed'}, label='second'), spawn('c')
text = f"{a} {c} {b}"
part = b["x"]
result = text.error
"""
    )

    assert type(names["result"]) is SpawnFailed and names["result"].label == "second"
    assert names["result"] is names["part"].error is names["b"].error
    assert pipe.waited == [((1, 3, 2), 3, "ok", "keep")]
    assert names["a"].error is not names["result"] and names["text"].error is names["result"]


def test_agent_and_label_of_what_is_made_of_handles(pipe):  # noqa: F811
    names = run("h = spawn('a', label='l')\np, t, n = h['x'], f'{h}', h.then(len)\nm = f'{h}'.then(len)")

    told = {name: (names[name].agent, names[name].label) for name in "hptnm"}
    assert told == {"h": ("a", "l"), "p": ("a", "l"), "t": (None, None), "n": ("a", "l"), "m": ("a", "l")}
