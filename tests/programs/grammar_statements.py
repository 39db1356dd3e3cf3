"""The statements of the grammar. The first four are the plainest."""

from __future__ import annotations

from collections.abc import Callable

from tests.programs.grammar import PATTERNS, STATEMENTS, TYPES, Program, indented

Make = Callable[[Program, int], list[str]]


def statement(name: str) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        assert name not in STATEMENTS
        STATEMENTS[name] = make
        return make

    return add


def in_class_body(make: Make) -> Make:
    def inner(program: Program, depth: int) -> list[str]:
        with program.without_walrus():
            return make(program, depth)

    return inner


def kind_of_variable(program: Program) -> str:
    return TYPES[program.choose(len(TYPES))]


@statement("assignment")
def _assignment(program: Program, depth: int) -> list[str]:
    kind = kind_of_variable(program)
    value = program.expression(kind, depth + 1)
    name = program.fresh(kind)
    program.scope[kind].append(name)
    return [f"{name} = {value}"]


@statement("print")
def _print(program: Program, depth: int) -> list[str]:
    end = program.one_of("", ", sep='/'", ", end=';\\n'", ", sep=''")
    return [f"print({program.any_expression(depth + 1)}, {program.any_expression(depth)}{end})"]


@statement("augmented name")
def _augmented_name(program: Program, depth: int) -> list[str]:
    if program.in_function:
        return [
            f"_seen = {program.expression('int', depth)}",
            f"_seen {program.one_of('+=', '-=', '|=', '//=')} 3",
            "print(_seen)",
        ]
    name = program.variable("int")
    operator = program.one_of("+=", "-=", "|=", "&=", "^=", "//=", "%=", ">>=")
    return [f"{name} {operator} {program.expression('int', depth)}", f"{name} %= 9973"]


@statement("method call")
def _method_call(program: Program, depth: int) -> list[str]:
    name, value = program.variable("list"), program.expression("int", depth)
    call = program.one_of(
        f"append({value})", "reverse()", f"insert(0, {value})", "sort(key=lambda q: -q)", "pop()", f"remove({value})"
    )
    return [f"{name}.{call}", f"del {name}[9:]"]


@statement("augmented item")
def _augmented_item(program: Program, depth: int) -> list[str]:
    target = program.one_of(
        f"{program.variable('dict')}[{program.expression('str', depth)}]", f"{program.variable('list')}[0]"
    )
    return [f"{target} += {program.expression('int', depth)}"]


@statement("augmented slice")
def _augmented_slice(program: Program, depth: int) -> list[str]:
    name = program.variable("list")
    return [
        f"{name}[1:2] += [{program.expression('int', depth)}]",
        f"{name}[::2] = {name}[::2][::-1]",
        f"del {name}[9:]",
    ]


@statement("augmented attribute")
def _augmented_attribute(program: Program, depth: int) -> list[str]:
    return [
        f"{program.variable('point')}.{program.one_of('x', 'y', 'twice')} {program.one_of('+=', '-=')} {program.expression('int', depth)}"
    ]


@statement("augmented text or list")
def _augmented_text(program: Program, depth: int) -> list[str]:
    if program.in_function:
        return ["_text = 'a'", f"_text += {program.expression('str', depth)}", "print(_text[:20])"]
    kind = program.one_of("str", "list", "tuple")
    name = program.variable(kind)
    return [f"{name} += {program.expression(kind, depth)}", f"{name} = {name}[:9]"]


@statement("annotated assignment")
def _annotated(program: Program, depth: int) -> list[str]:
    name = program.fresh("int")
    value = program.expression("int", depth + 1)
    program.scope["int"].append(name)
    return [f"{name}: Optional[int] = {value}"]


@statement("item assignment")
def _item_assignment(program: Program, depth: int) -> list[str]:
    return [f"{program.variable('dict')}[{program.expression('str', depth)}] = {program.expression('int', depth)}"]


@statement("attribute assignment")
def _attribute_assignment(program: Program, depth: int) -> list[str]:
    return [f"{program.variable('point')}.{program.one_of('x', 'twice', 'extra')} = {program.expression('int', depth)}"]


@statement("unpacking")
def _unpacking(program: Program, depth: int) -> list[str]:
    first, rest = program.fresh("int"), program.fresh("list")
    value = program.expression("list", depth)
    program.scope["int"].append(first)
    program.scope["list"].append(rest)
    return [f"{first}, *{rest} = {value}"]


@statement("nested unpacking")
def _nested_unpacking(program: Program, depth: int) -> list[str]:
    a, b = program.fresh("int"), program.fresh("str")
    values = program.expression("int", depth), program.expression("str", depth)
    program.scope["int"].append(a)
    program.scope["str"].append(b)
    return [f"({a}, ({b}, _)), _ = ({values[0]}, [{values[1]}, 0]), None"]


@statement("swap")
def _swap(program: Program, depth: int) -> list[str]:
    name = program.variable("list")
    return [f"{name}[0], {name}[-1] = {name}[-1], {program.expression('int', depth)}"]


@statement("several targets")
def _several_targets(program: Program, depth: int) -> list[str]:
    a, b = program.fresh("list"), program.fresh("list")
    value = program.expression("list", depth)
    program.scope["list"] += [a, b]
    return [f"{a} = {b} = {value}"]


@statement("del")
def _del(program: Program, depth: int) -> list[str]:
    return [
        f"del {program.one_of(program.variable('dict') + '[' + program.expression('str', depth) + ']', program.variable('list') + '[0]')}"
    ]


@statement("if")
def _if(program: Program, depth: int) -> list[str]:
    lines = [f"if {program.expression('bool', depth)}:", *program.block(depth)]
    if program.choose(2):
        lines += [f"elif {program.expression('bool', depth)}:", *program.block(depth)]
    if program.choose(2):
        lines += ["else:", *program.block(depth)]
    return lines


@statement("for")
def _for(program: Program, depth: int) -> list[str]:
    things = program.expression("list", depth)
    name = program.fresh("int")
    scope = [*program.scope["int"]]
    program.scope["int"].append(name)
    lines = [f"for {name} in {things}[:4]:", *program.block(depth, in_loop=True)]
    program.scope["int"] = scope
    if program.choose(3) == 0:
        lines += ["else:", *program.block(depth)]
    return lines


@statement("for with unpacking")
def _for_unpacking(program: Program, depth: int) -> list[str]:
    return [f"for k, (v, *_) in enumerate(zip({program.expression('list', depth)}[:3], {program.expression('str', depth)})):",
            "    print(k, v, _)"]  # fmt: skip


@statement("while")
def _while(program: Program, depth: int) -> list[str]:
    name = program.fresh("n")
    inner = [f"    {name} -= 1", *program.block(depth, in_loop=True)]
    lines = [f"{name} = {program.choose(4)}", f"while {name} > 0:", *inner]
    return [*lines, "else:", *program.block(depth)] if program.choose(3) == 0 else lines


@statement("break or continue")
def _break(program: Program, depth: int) -> list[str]:
    word = program.one_of("break", "continue") if program.in_loop else "pass"
    return [f"if {program.expression('bool', depth)}:", f"    {word}"]


@statement("try")
def _try(program: Program, depth: int) -> list[str]:
    lines = ["try:", *program.block(depth)]
    kinds = program.one_of(
        "ZeroDivisionError", "(KeyError, IndexError)", "ValueError", "Oops", "LookupError", "SpawnError"
    )
    lines += [f"except {kinds} as e:", "    print(type(e).__name__, e)", *program.block(depth)]
    if program.choose(2):
        lines += ["except Exception as e:", f"    print(repr(e)[:60], isinstance(e, {kinds}))"]
    if program.choose(2):
        lines += ["else:", *program.block(depth)]
    if program.choose(2):
        lines += ["finally:", "    print('finally')", *program.block(depth, in_loop=False)]
    return lines


@statement("try and finally")
def _finally(program: Program, depth: int) -> list[str]:
    return ["try:", *program.block(depth), "finally:", f"    print({program.any_expression(depth)})"]


@statement("raise")
def _raise(program: Program, depth: int) -> list[str]:
    error = program.one_of("Oops('m', 7)", "ValueError('v')", "KeyError", "Oops")
    return [f"if {program.expression('bool', depth)}:", f"    raise {error}"]


@statement("raise from")
def _raise_from(program: Program, depth: int) -> list[str]:
    return ["try:",
            "    try:", f"        print({program.expression('int', depth)} // ({program.expression('int', depth)} % 2))",
            "    except ZeroDivisionError as cause:", "        raise Oops('outer', code=3) from cause",
            "except Oops as e:", "    print(e, e.code, repr(e.__cause__), e.args)"]  # fmt: skip


@statement("raise again")
def _raise_again(program: Program, depth: int) -> list[str]:
    return ["try:", "    try:", f"        print({program.any_expression(depth)})", "    except Exception:", "        print('again')", "        raise",
            "except (ValueError, TypeError, LookupError, ArithmeticError) as e:", "    print(type(e).__name__)"]  # fmt: skip


@statement("with")
def _with(program: Program, depth: int) -> list[str]:
    context = program.one_of("Door('d')", "Door('d', swallow=True)", "nullcontext('n')", "part('p')")
    return [f"with {context} as entered:", "    print(entered)", *program.block(depth)]


@statement("with several")
def _with_several(program: Program, depth: int) -> list[str]:
    return [
        "with Door('one', True), part('two') as n, suppress(ZeroDivisionError):",
        *program.block(depth, in_loop=False),
    ]


@statement("with a stack")
def _with_stack(program: Program, depth: int) -> list[str]:
    return [
        "with ExitStack() as stack:",
        "    stack.callback(print, 'called')",
        "    print(stack.enter_context(Door('s')))",
        *program.block(depth, in_loop=False),
    ]


@statement("function")
def _function(program: Program, depth: int) -> list[str]:
    kind = kind_of_variable(program)
    name = program.fresh("function")
    header = program.one_of("a, b=2", "a, /, b=2, *rest, c=3, **more", "a: int, *, b: 'str' = 2", "*args, b=1")
    inside = program.block(depth, in_function=True, in_loop=False)
    value = program.expression(kind, depth)
    result = program.fresh(kind)
    decorated = ["@counted"] if program.choose(3) == 0 else []
    call = program.one_of(
        f"{name}(1)",
        f"{name}({program.expression('int', depth)}, b={program.expression('int', depth)})",
        f"{name}(*[1], **{{'b': 2}})",
    )
    program.scope[kind].append(result)
    return [*decorated, f"def {name}({header}) -> None:", *inside, f"    return {value}", f"{result} = {call}"]


@statement("early return")
def _early_return(program: Program, depth: int) -> list[str]:
    name = program.fresh("function")
    return [f"def {name}(n):", "    for k in range(n):", "        try:", "            if k == 2: return k", "        finally:",
            f"            print({program.expression('int', depth)})", f"    return {program.expression('str', depth)}", f"print({name}({program.choose(5)}))"]  # fmt: skip


@statement("recursion")
def _recursion(program: Program, depth: int) -> list[str]:
    name = program.fresh("function")
    return [
        f"def {name}(n): return {program.expression('int', depth)} if n <= 0 else {name}(n - 1) + n",
        f"print({name}({program.expression('int', depth)} % 6))",
    ]


@statement("closure with nonlocal")
def _closure(program: Program, depth: int) -> list[str]:
    name = program.fresh("function")
    return [f"def {name}(start):", "    def step(by=1):", "        nonlocal start", "        start += by", "        return start", "    return step",
            f"{name}_step = {name}({program.expression('int', depth)})", f"print({name}_step(), {name}_step({program.expression('int', depth)}))"]  # fmt: skip


@statement("global")
def _global(program: Program, depth: int) -> list[str]:
    name = program.fresh("function")
    return [
        f"def {name}():",
        "    global int_0",
        f"    int_0 = {program.expression('int', depth)}",
        f"{name}()",
        "print(int_0)",
    ]


@statement("generator function")
def _generator(program: Program, depth: int) -> list[str]:
    name = program.fresh("function")
    return [f"def {name}(n):", "    total = 0", "    try:", "        for k in range(n % 4):", f"            got = yield k + {program.expression('int', depth)}",
            "            total += got or 1", "    except Oops as e: yield e.code", "    finally: print('closed', total)",
            "    return total", f"made = {name}({program.expression('int', depth)} % 4)", "print(next(made, None))",
            program.one_of("print(list(made))", "print(made.send(3))", "made.close()", "print(made.throw(Oops('t', 5)))", "print([*made])"), "made.close()"]  # fmt: skip


@statement("class")
@in_class_body
def _class(program: Program, depth: int) -> list[str]:
    name = program.fresh("Class")
    base = program.one_of("", "(Box)", "(Loud)", "(Point)", "(Oops)", "(dict)", "(list)", "(str)")
    body = ["    kind = " + program.expression("str", depth), f"    def shout(self, n={program.expression('int', depth)}): return (self.kind, n)",
            "    @property", "    def half(self): return len(self.kind) // 2", "    @classmethod", "    def named(cls): return cls.__name__",
            "    @staticmethod", f"    def fixed(): return {program.any_expression(depth)}"]  # fmt: skip
    made = {"(Point)": "1, 2", "(Oops)": "'m'", "(Box)": "[1]", "(Loud)": "[2]"}.get(base, "")
    return [f"class {name}{base}:", *body, f"one = {name}({made})", "print(one.shout(), one.half, one.fixed(), one.named(), type(one).__name__)",
            f"print(isinstance(one, (Box, str)), issubclass({name}, Exception), getattr(one, 'nope', None))"]  # fmt: skip


@statement("class with operators")
def _class_with_operators(program: Program, depth: int) -> list[str]:
    name = program.fresh("Class")
    symbol, method = (
        ("+", "add"),
        ("-", "sub"),
        ("*", "mul"),
        ("@", "matmul"),
        ("//", "floordiv"),
        ("<", "lt"),
        ("[", "getitem"),
    )[program.choose(7)]
    use = "one[two]" if symbol == "[" else f"one {symbol} two"
    return [f"class {name}:", "    def __init__(self, v): self.v = v", f"    def __{method}__(self, other): return (self.v, getattr(other, 'v', other))",
            "    def __repr__(self): return f'<{self.v}>'", "    def __eq__(self, other): return self.v == other.v", "    __hash__ = None",
            f"one, two = {name}({program.expression('int', depth)}), {name}(2)", f"print({use}, one == two, one != two, [one])", f"print(one {symbol if symbol != '[' else '+'} 3)"]  # fmt: skip


@statement("dataclass")
@in_class_body
def _dataclass(program: Program, depth: int) -> list[str]:
    name = program.fresh("Data")
    options = program.one_of("", "(frozen=True)", "(order=True)", "(kw_only=True)", "(slots=True)", "(eq=False)")
    return ["@dataclass" + options, f"class {name}:", "    a: int", f"    b: str = {program.expression('str', depth)}", "    c: 'list[int]' = field(default_factory=list, repr=False)",
            "    def both(self): return f'{self.a}{self.b}'", f"one = {name}(a={program.expression('int', depth)})", "print(one, one.both(), asdict(one))",
            f"print(one == {name}(a=1), replace(one, a=2).a)", "one.a = 5"]  # fmt: skip


@statement("named tuple")
def _named_tuple(program: Program, depth: int) -> list[str]:
    name = program.fresh("Row")
    made = program.one_of(f"{name} = namedtuple('{name}', 'p q')", f"{name} = NamedTuple('{name}', [('p', int), ('q', int)])",
                          f"class {name}(NamedTuple):\n    p: int\n    q: int = 3\n    def total(self): return self.p + self.q")  # fmt: skip
    return [
        *made.split("\n"),
        f"row = {name}({program.expression('int', depth)}, q=4)",
        "print(row, row.p, row._replace(q=0), row._asdict(), *row)",
        "p, q = row",
    ]


@statement("enum")
@in_class_body
def _enum(program: Program, depth: int) -> list[str]:
    name = program.fresh("Kind")
    made = program.one_of(f"class {name}(Enum):\n    A = {program.expression('int', depth)}\n    B = 'b'\n    def low(self): return self.name.lower()",
                          f"{name} = Enum('{name}', 'A B')", f"{name} = Enum('{name}', {{'A': {program.expression('int', depth)}, 'B': 'b'}})")  # fmt: skip
    return [
        *made.split("\n"),
        f"print([k.name for k in {name}], {name}['A'].value, {name}.A is {name}.B, {name}.B in {{{name}.B: 1}})",
        f"print({name}({program.any_expression(depth)}).name)",
    ]


@statement("match")
def _match(program: Program, depth: int) -> list[str]:
    lines = [f"match {program.any_expression(depth)}:"]
    for _ in range(1 + program.choose(4)):
        place = program.choose(len(PATTERNS))
        pattern, names = PATTERNS[place]
        program.counts[f"pattern: {pattern}"] += 1
        lines += [f"    case {pattern}:", f"        print({place}{', ' + names if names else ''})"]
    lines += ["    case _:", *indented(program.block(depth))]
    return lines


@statement("spawn and wait")
def _spawn(program: Program, depth: int) -> list[str]:
    name = program.fresh("h")
    agent = program.one_of("echo", "fails")
    return [f"{name} = spawn('{agent}', {program.any_expression(depth)}, label={program.expression('str', depth)})", "try:", f"    print({name}.result(), {name}.ok)",
            "except SpawnError as e:", f"    print('failed', e, {name}.error is e)"]  # fmt: skip


@statement("waves of spawns")
def _waves(program: Program, depth: int) -> list[str]:
    return [f"handles = {{k: spawn(program, k) for k, program in enumerate(['echo', 'fails', 'echo'][:{program.choose(4)}])}}",
            f"first = gather(handles.values(), on_error={program.one_of(repr('none'), repr('return'), repr('raise'))})",
            "again = [spawn('echo', {'of': k}) for k, v in enumerate(first) if not isinstance(v, int)]", "print([h.result() for h in as_completed(again)])"]  # fmt: skip


@statement("assert")
def _assert(program: Program, depth: int) -> list[str]:
    return [f"assert {program.expression('bool', depth)}, {program.expression('str', depth)}"]


@statement("import")
def _import(program: Program, depth: int) -> list[str]:
    return [
        program.one_of(
            "import math as m, re as regex",
            "from math import sqrt as root, floor",
            "import collections.abc",
            "from itertools import chain",
        )
    ]


@statement("loop over a growing list")
def _growing(program: Program, depth: int) -> list[str]:
    return [f"queue = deque({program.expression('list', depth)}[:3])", "seen = []", "while queue and len(seen) < 6:", "    q = queue.popleft()", "    seen.append(q)",
            "    if q % 2: queue.append(q // 2)", "print(seen)"]  # fmt: skip


@statement("return from the script")
def _return(program: Program, depth: int) -> list[str]:
    if program.nested or program.choose(8):
        return ["pass"]
    return [f"if {program.expression('bool', depth)}:", f"    return {program.any_expression(depth)}  # top"]
