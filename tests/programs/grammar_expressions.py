"""The expressions of the grammar. The first two of each type are the plainest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from tests.programs.grammar import EXPRESSIONS, Production, Program


def expression(kind: str, name: str) -> Callable[[Production], Production]:
    def add(production: Production) -> Production:
        found = EXPRESSIONS.setdefault(kind, {})
        assert name not in found
        found[name] = production
        return production

    return add


def template(kind: str, name: str, text: str) -> None:
    """Add a production that is a text with expressions in it: `{int}` stands for one of that type, `{v:list}` for a variable.

    Braces that belong to the program are written as « and ».
    """
    parts = [part.partition("}") for part in text.split("{")]

    def make(program: Program, depth: int) -> str:
        made = parts[0][0]
        with program.without_walrus() if " for " in text else nullcontext():
            for inner, _, after in parts[1:]:
                wanted = inner.removeprefix("v:")
                made += program.variable(wanted) if inner != wanted else program.expression(wanted, depth)
                made += after
        return made.replace("«", "{").replace("»", "}")

    expression(kind, name)(make)


def templates(kind: str, text: str) -> None:
    """Add one production a line: `name | text`."""
    for line in text.strip().split("\n"):
        name, _, body = line.partition(" | ")
        template(kind, name.strip(), body.strip())


@expression("int", "a number")
def _number(program: Program, depth: int) -> str:
    return str(program.choose(23) - 4)


@expression("str", "a text")
def _text(program: Program, depth: int) -> str:
    return repr(("a", "", "bc d", "Ünï", "x,y", "12", "%", "a" * 9)[program.choose(8)])


@expression("float", "a float")
def _float(program: Program, depth: int) -> str:
    return ("0.5", "2.0", "-1.25", "1e3")[program.choose(4)]


for _kind, _terminal in (
    ("bool", "True"), ("list", "[]"), ("dict", "«»"), ("tuple", "(0, 'z')"), ("point", "Point(1)"),
):  # fmt: skip
    template(_kind, "a constant", _terminal)
for _kind in ("int", "str", "bool", "list", "dict", "float", "tuple", "point"):
    for _name, _form in (
        ("a variable", "{v:KIND}"),
        ("a ternary", "({KIND} if {bool} else {KIND})"),
        ("a call of a lambda", "(lambda q, *r, k={int}: {KIND})(1, 2)"),
        ("and or", "({v:KIND} and {KIND} or {v:KIND})"),
    ):
        template(_kind, _name, _form.replace("KIND", _kind))

templates(
    "int",
    """
arithmetic        | ({int} + {int} - {int})
product           | ({int} % 97) * ({int} % 89)
division          | ({int} // {int})
remainder         | ({int} % {int})
power             | ({int} % 9) ** ({int} % 5)
power by name     | pow({int} % 9, {int} % 5, 7)
shift             | (({int} % 64) << ({int} % 7) >> 1)
bits              | ({int} & {int} | {int} ^ ~{int})
sign              | -{int}
len               | len({list})
len of an object  | len(Box({list}))
sum               | sum({list})
min               | min({int}, {int})
max with key      | max([{int}, {int}], key=lambda q: -q)
item              | {list}[{int}]
item of a dict    | {dict}[{str}]
get               | {dict}.get({str}, {int})
attribute         | {point}.x
method            | {point}.norm()
property          | {point}.twice
class attribute   | Box.made
call of an object | Box({list})({int})
int of a text     | int({str})
round             | round({float})
walrus            | (w := {int}) + w
sum of generator  | sum(q * 2 for q in {list} if q > {int})
sum of two loops  | sum(q - r for q in {list} for r in range(q % 3))
reduce            | functools.reduce(lambda q, r: q + r, {list}, {int})
count             | {list}.count({int})
find              | {str}.find({str})
ord               | ord({str}[0])
divmod            | divmod({int}, 7)[1]
bool as int       | int({bool}) + {bool}
next              | next((q for q in {list} if q > 1), {int})
enum value        | Level.HIGH + Color.RED.value
floor             | math.floor({float})
bit length        | ({int}).bit_length()
attrgetter        | operator.attrgetter("x")({point})
itemgetter        | operator.itemgetter(0)({list})
getattr           | getattr({point}, "y", {int})
getattr default   | getattr({point}, "nope", {int})
most common       | Counter({str}).most_common(1)[0][1]
spawn and wait    | spawn("echo", {int}).result()
agent's part      | spawn("echo", «"k": {int}»).result()["k"]
static method     | len(Box.cut({str}))
index from behind | {list}[-1]
comparison chain  | ({int} < {int} <= {int}) + 0
hash              | hash({int}) % 11
abs               | abs({int})
group             | int(re.search(r"\\d+", {str} + "7")[0])
""",
)

templates(
    "str",
    """
concatenation     | ({str} + {str})[:40]
repetition        | {str}[:5] * ({int} % 4)
f-string          | f"«{v:int}»-«{v:str}»-«{v:point}»"[:40]
f-string spec     | f"«{v:int}:>5»|«{v:float}:.2f»|«{v:str}:*^7»"[:40]
f-string nested   | f"«{v:float}:«{v:int} % 9 + 9».1f»«{v:list}[0]»"[:40]
f-string !r       | f"«{v:str}!r:>8» «{v:list}!s» «{v:int}=»"[:60]
percent           | "%s=%05d %r" % ({str}, {int}, {str})
percent by name   | "%(k)s" % «"k": {any}»
format            | "«»:«»".format({str}, {int})
format by name    | "«a:>4»/«b!r»".format(a={int}, b={str})
format of parts   | "«0.x» «1[0]»".format({point}, [{int}])
format_map        | "«a»".format_map(«"a": {int}»)
join              | ",".join([{str}, {str}])[:40]
join of a map     | "-".join(map(str, {list}[:5]))
upper             | {str}.upper()
title             | {str}.title().swapcase()
replace           | {str}.replace("a", {str}[:3])[:40]
split             | {str}.split()[0]
partition         | {str}.partition(",")[2]
strip             | {str}.strip("a")
pad               | {str}[:9].zfill(6).rjust(8, "_")
slice             | {str}[{int} % 5::2]
reverse           | {str}[::-1]
character         | {str}[{int}]
str of a number   | str({int})
str of a list     | str({list})[:40]
repr              | repr({any})[:60]
json              | json.dumps({dict})[:60]
type name         | type({any}).__name__
chr               | chr(97 + {int} % 26)
sorted letters    | "".join(sorted({str}))
translate         | {str}.translate(str.maketrans("ab", "ba"))
sub               | re.sub("[a-m]", lambda m: m.group().upper(), {str})
enum name         | Color(1).name + str(Level.LOW.name)
repr of an object | repr(Box({list}) + Loud([{int}]))
encode            | {str}.encode().hex()[:20]
error of a spawn  | str(spawn("fails", {int}).error)
bin               | bin({int}) + hex({int} % 99)
repr of a point   | repr({point})[:60]
""",
)

templates(
    "bool",
    """
comparison        | {int} < {int}
equality          | {any} == {any}
chain             | {int} <= {int} < {int} != 5
membership        | {int} in {list}
membership in text | {str} not in {str}
membership in an object | {int} in Box({list})
not               | (not {bool})
both              | ({bool} and {bool})
either            | ({bool} or {bool})
isinstance        | isinstance({any}, (int, str))
is none           | {dict}.get("zz") is None
any               | any(q > {int} for q in {list})
all               | all(isinstance(q, int) for q in {list})
startswith        | {str}.startswith(("a", {str}))
isdigit           | {str}.isdigit()
order of points   | {point} < {point}
order of tuples   | ({int}, {str}) >= ({int}, {str})
truth of an object | bool(Box({list}))
match of a pattern | bool(re.fullmatch("[a-z]*", {str}))
hasattr           | hasattr({point}, "norm")
is of an enum     | Color.RED is Color(1)
ok of a spawn     | spawn("echo", {int}).ok
subset            | set({list}) <= set({list})
""",
)

templates(
    "list",
    """
a display         | [{int}, {int}]
a starred display | [*{list}, {int}][:9]
comprehension     | [q + {int} for q in {list}]
condition         | [q for q in {list} if q % 2 if q > 0]
nested            | [q - r for q in {list}[:3] for r in [q, {int}]]
comprehension in it | [sum(r for r in range(q % 4)) for q in {list}]
walrus in it      | [z for q in {list} if (z := q * 2) > 1]
sorted            | sorted({list}, key=lambda q: (q % 3, -q), reverse={bool})
concatenation     | ({list} + {list})[:9]
repetition        | {list}[:3] * ({int} % 3)
slice             | {list}[{int}:{int}]
stride            | {list}[::-1]
range             | list(range({int} % 6))
range with step   | list(range(9, 0, -2))
map               | list(map(lambda q: q + 1, {list}))
filter            | list(filter(None, {list}))
zip               | [q + r for q, r in zip({list}, {list})]
enumerate         | [i * q for i, q in enumerate({list}, start=1)]
values            | list({dict}.values())
generator         | list(numbers({int}))
yield from        | list(chained({int}))
set               | sorted(set({list}) | «{int}»)
set comprehension | sorted(«q % 5 for q in {list}»)
accumulate        | list(itertools.accumulate({list}))
islice            | list(itertools.islice(itertools.count({int}), 3))
chain             | list(itertools.chain({list}, [1]))[:9]
deque             | list(deque({list}, maxlen=3))
iteration of an object | list(Box({list}))
unpacked object   | [*Box.of({int}, *{list})]
copy              | {list}.copy()
gather            | gather([spawn("echo", q) for q in {list}[:3]])
gather of arguments | gather(spawn("echo", {int}), spawn("echo", {int}))
gather with none  | [q or 0 for q in gather([spawn("fails", {int}), spawn("echo", {int})], on_error="none")]
as_completed      | [h.result() for h in as_completed([spawn("echo", {int})])]
lengths           | [len(q) for q in {str}.split(",")]
product           | [q * r for q, r in itertools.product([1, 2], repeat=2)]
groupby           | [len(list(g)) for _, g in itertools.groupby({list}, key=lambda q: q % 2)]
late lambdas      | [f() for f in [lambda: q for q in {list}[:3]]]
early lambdas     | [f() for f in [lambda q=q: q for q in {list}[:3]]]
json round trip   | json.loads(json.dumps({list}))
partial           | list(map(functools.partial(max, {int}), {list}))
unbound           | list(map(len, map(str.upper, {str})))
""",
)

templates(
    "dict",
    """
a display         | «"a": {int}, {str}: {int}»
merge by stars    | «**{dict}, "m": {int}»
merge             | {dict} | {dict}
comprehension     | «str(q): q for q in {list}»
swapped           | «str(v): len(k) for k, v in {dict}.items() if v»
dict of pairs     | dict(zip({str}, {list}))
keywords          | dict(p={int}, q={int})
counter           | dict(Counter({str}))
copy              | {dict}.copy()
fromkeys          | dict.fromkeys({str}[:3], {int})
inputs            | inputs
asdict            | «k: v for k, v in asdict({point}).items() if k != "tags"»
gather            | gather(«"k": spawn("echo", {int})»)
sorted items      | dict(sorted({dict}.items(), key=lambda kv: kv[0]))
default           | dict(defaultdict(int, {dict}))
""",
)

templates(
    "float",
    """
division          | {int} / {int}
sum               | {float} + {float}
product           | ({float} * 0.5)
sqrt              | math.sqrt(abs({int}))
round             | round({float}, 2)
of a text         | float({str})
of an int         | float({int})
mean              | sum({list}) / (len({list}) or 1)
floor division    | {float} // 2
negative          | -{float}
max               | max({float}, {int})
""",
)

templates(
    "tuple",
    """
a display         | ({int}, {str})
of a list         | tuple({list})
concatenation     | ({tuple} + ({int},))[:5]
slice             | {tuple}[1:]
divmod            | divmod({int}, 5)
nested            | ({tuple}, {int})[0]
items             | tuple({dict}.items())[:2]
named             | tuple(namedtuple("N", "p q", defaults=[{int}])({int}))
""",
)

templates(
    "point",
    """
a call            | Point({int}, {int})
by keyword        | Point(x={int}, tags=[{int}])
replace           | replace({point}, y={int})
of a dict         | Point(**«"x": {int}»)
of a sequence     | Point(*[{int}, {int}])
min               | min({point}, {point})
""",
)


@expression("any", "any type")
def _any(program: Program, depth: int) -> str:
    return program.any_expression(depth)


@expression("any", "none")
def _none(program: Program, depth: int) -> str:
    return "None"


@expression("any", "one more")
def _more(program: Program, depth: int) -> str:
    return program.any_expression(depth)
