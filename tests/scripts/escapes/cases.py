"""Attempts to get out of the dialect, as data.

An attempt has succeeded exactly when it binds the global `loot`; a script that is rejected, raises, or ends without
`loot` is contained. Where `touches_system` is true, binding `loot` takes a system call, so the same attempt must also
fail inside a locked sandbox when the dialect is bypassed; the others end inside the interpreter.

`origin` says where the attempt comes from: a CVE, a known technique, or a leak of a careless dialect.
"""

# ruff: noqa: E501, W291  (the scripts stand as somebody would write them)
from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Escape:
    """One attempt."""

    name: str
    source: str
    origin: str
    touches_system: bool


CASES: list[Escape] = []


def attempts(origin: str, text: str) -> None:
    """Add attempts from a text in which a line `### name` begins each; `!` after the name: touches the system."""
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name, _, source = part.partition("\n")
        CASES.append(Escape(name.rstrip("! "), source, origin, name.endswith("!")))


attempts("CVE-2023-37271: generator frames", '''
### gi_frame in the text
g = (g.gi_frame.f_back.f_back for _ in [1])
loot = [x for x in g][0].f_builtins
### gi_frame through getattr
def gen(): yield 1
loot = getattr(gen(), "gi_frame")
### gi_code through getattr of a comprehension
loot = getattr((x for x in ()), "gi_code")
### gi_yieldfrom through attrgetter
from operator import attrgetter
loot = attrgetter("gi_frame.f_globals")(x for x in ())
### gi_frame through methodcaller
from operator import methodcaller
def gen(): yield 1
loot = methodcaller("gi_frame")(gen())
### gi_frame through str.format
g = (x for x in ())
text = "{0.gi_frame.f_globals}".format(g)
loot = text
### gi_frame through a class pattern
def gen(): yield 1
G = type(gen())
match gen():
    case G(gi_frame=f): loot = f
### gi_frame through match args of an own class
class A:
    __match_args__ = ("gi_frame",)
match (x for x in ()):
    case A(f): loot = f
### gi_frame as a dataclass field
from dataclasses import dataclass
@dataclass
class A:
    gi_frame: int = 0
loot = A.gi_frame
''')

attempts("CVE-2023-41039: str.format", '''
### class of a string through format
loot = "{0.__class__.__mro__}".format("") 
### globals of a function through format
def f(): pass
loot = "{0.__globals__}".format(f)
### format_map with attributes
def f(): pass
loot = "{f.__globals__[__builtins__]}".format_map({"f": f})
### unbound str.format
def f(): pass
loot = str.format("{0.__code__.co_consts}", f)
### unbound format through map
def f(): pass
loot = list(map(str.format, ["{0.__globals__}"], [f]))
### format of a subclass of str
class S(str): pass
def f(): pass
loot = S("{0.__globals__}").format(f)
### format through super in a subclass of str
class S(str):
    def leak(self, x): return super().format(x)
def f(): pass
loot = S("{0.__globals__}").leak(f)
### format fetched by getattr
def f(): pass
loot = getattr("{0.__globals__}", "format")(f)
### format through methodcaller
from operator import methodcaller
def f(): pass
loot = methodcaller("format", f)("{0.__globals__}")
### nested field in a format spec
def f(): pass
loot = "{:{0.__globals__}}".format(f)
### format in a class pattern
match "{0.__class__}":
    case str(format=f): loot = f(1)
### format inside partial
from functools import partial
def f(): pass
loot = partial(str.format, "{0.__globals__}")(f)
### format through reduce
from functools import reduce
def f(): pass
loot = reduce(str.format, [f], "{0.__globals__}")
''')

attempts("CVE-2024-47532: AttributeError.obj and string", '''
### obj of an AttributeError
class Own: pass
try: Own().nope
except AttributeError as e: loot = e.obj
### obj of an AttributeError of a facade
import json
try: json.nope
except AttributeError as e: loot = e.obj
### obj through getattr
try: len.nope
except AttributeError as e: loot = getattr(e, "obj")
### obj through a class pattern
try: len.nope
except AttributeError as e:
    match e:
        case AttributeError(obj=o): loot = o
### obj through format
try: len.nope
except AttributeError as e: loot = "{0.obj}".format(e)
### string module through a facade
import string
loot = string._string
### string Formatter
import string
loot = string.Formatter
''')

attempts("CVE-2025-22153: except*", '''
### except star
try: raise ValueError
except* ValueError as e: loot = e
### except star inside a function inside a class
class A:
    def f(self):
        try: pass
        except* TypeError: pass
loot = A
''')

attempts("CVE-2026-55830: an argument shadows a guard", '''
### positional-only argument named like a guard
def f(_read_, /, x=()): return x.gi_frame
loot = f(lambda o, n: o)
### positional-only argument shadows the read guard
def f(o, _read_=lambda o, n: o, /): return o.__class__
loot = f(1)
### keyword-only argument shadows the types
def f(o, *, _readable_): return o.cr_frame
loot = f(1, _readable_=[int])
### star argument shadows a guard
def f(*_read_): return _read_
loot = f(1)
### double star argument shadows a guard
def f(**_write_): return _write_
loot = f()
### lambda argument shadows a guard
loot = (lambda _read_: _read_)(1)
### posonly lambda argument shadows a guard
loot = (lambda _getattr_, /: _getattr_)(1)
### assignment shadows a guard
_read_ = lambda o, n: o
loot = _read_
### for target shadows a guard
for _type_ in [lambda o: int]: pass
loot = _type_
### with target shadows a guard
from contextlib import nullcontext
with nullcontext(1) as _end_: loot = _end_
### walrus shadows a guard
loot = [(_Fatal_ := ()) for _ in [1]]
### import shadows a guard
import json as _read_
loot = _read_
### from import shadows a guard
from json import loads as _write_
loot = _write_
### except name shadows a guard
try: 1 / 0
except ZeroDivisionError as _end_: loot = 1
### global declares a guard
def f():
    global _end_
    _end_ = 1
f()
loot = 1
### nonlocal declares a guard
def f():
    _x_ = 1
    def g():
        nonlocal _x_
    return g
loot = f()
### def shadows a guard
def _end_(): pass
loot = _end_
### class shadows a guard
class _Fatal_: pass
loot = _Fatal_
### match capture shadows a guard
match 1:
    case _end_: loot = 1
### match star shadows a guard
match [1]:
    case [*_read_]: loot = 1
### match rest shadows a guard
match {"a": 1}:
    case {**_read_}: loot = 1
### match as shadows a guard
match 1:
    case int() as _type_: loot = 1
### comprehension target shadows a guard
loot = [_read_ for _read_ in [1]]
### del removes a guard
del _end_
loot = 1
### look-alike letters spell a guard
_ｒead_ = 1
loot = 1
### keyword argument named like a hook
def f(**k): return k
loot = f(_read_=1)
''')

attempts("CVE-2026-76825: string.Formatter", '''
### Formatter imported by name
from string import Formatter
loot = Formatter().format("{0.__class__}", 1)
### Template imported by name
from string import Template
loot = Template.__init__.__globals__
### Formatter through getattr
import string
loot = getattr(string, "Formatter")()
### Formatter through vars
import string
loot = vars(string)["Formatter"]
''')

attempts("known technique: the class tree", '''
### subclasses of object!
for c in ().__class__.__base__.__subclasses__():
    if c.__name__ == "_wrap_close": loot = c.__init__.__globals__["popen"]("id").read()
### mro method
loot = type(1).mro()
### mro of an own class
class A: pass
loot = A.mro()
### mro through getattr
loot = getattr(int, "mro")()
### mro through a class pattern
class M: pass
match int:
    case type(mro=m): loot = m()
### bases
class A(dict): pass
loot = A.__bases__
### base through getattr
loot = getattr(int, "__base__")
### subclasses through the class of a class
loot = object.__subclasses__()
### dict of a class
class A: pass
loot = A.__dict__
### dict of an instance
class A: pass
loot = A().__dict__
### class assignment
class A: pass
class B: pass
a = A()
a.__class__ = B
loot = a
### three-argument type
loot = type("X", (), {"__getattribute__": lambda s, n: 1})
### type of a type calls
loot = type(type(1))("X", (), {})
### a metaclass by inheritance
class M(type): pass
loot = M
### a metaclass by keyword
class A(metaclass=type): pass
loot = A
### a metaclass by double star
class A(**{"metaclass": dict}): pass
loot = A
### class cell name
class A:
    def f(self): return __class__
loot = A().f()
### init_subclass
class A:
    def __init_subclass__(cls, **k): pass
loot = A
### class_getitem
class A:
    def __class_getitem__(cls, i): return i
loot = A[1]
### getattribute
class A:
    def __getattribute__(self, n): return n
loot = A().gi
### getattr hook
class A:
    def __getattr__(self, n): return n
loot = A().anything
### setattr hook
class A:
    def __setattr__(self, n, v): pass
loot = A
### new
class A:
    def __new__(cls): return 3
loot = A()
### del hook
class A:
    def __del__(self): pass
loot = A
### descriptor hooks
class A:
    def __get__(self, o, t): return o
loot = A
### set_name hook
class A:
    def __set_name__(self, o, n): pass
loot = A
### reduce
class A:
    def __reduce__(self): return (print, ("x",))
loot = A
### prepare
class A:
    def __prepare__(n, b): return {}
loot = A
### mro_entries
class A:
    def __mro_entries__(self, b): return (type,)
class B(A()): pass
loot = B
### dunder assigned in a class body
class A:
    __getattr__ = lambda s, n: n
loot = A().x
### dunder assigned by a for loop in a class body
class A:
    for __getattribute__ in [1]: pass
loot = A
### dunder function outside a class
def __getattr__(n): return n
loot = 1
### slots with a dunder
class A: __slots__ = ("__class__",)
loot = A
### computed slots
names = ["x"]
class A: __slots__ = names
loot = A
### setattr of a dunder
class A: pass
setattr(A, "__getattr__", lambda s, n: n)
loot = A().x
### object.__setattr__ of a dunder
class A: pass
a = A()
object.__setattr__(a, "__class__", dict)
loot = a
### object.__setattr__ on a facade
import json
object.__setattr__(json, "dumps", 1)
loot = json
### text subclass as a name
class N(str):
    def __eq__(self, o): return True
    def startswith(self, *a): return False
    def __hash__(self): return 1
loot = getattr(len, N("__self__"))
### text subclass as a name for setattr
class N(str): pass
class A: pass
setattr(A, N("__getattr__"), 1)
loot = A
### namespace of a class through super
class A:
    def f(self): return super().__getattribute__("__class__")
loot = A().f()
### thisclass of super
class A:
    def f(self): return super().__thisclass__
loot = A().f()
### reading private names of a metaclass
from abc import ABC
class A(ABC): pass
loot = A._dump_registry()
### private names of an enum class
from enum import Enum
class E(Enum): A = 1
loot = E._member_map_
### convert of an enum class!
from enum import IntEnum
loot = IntEnum._convert_("X", "os", lambda n: True)
### registering with an abstract class
from abc import ABC
class A(ABC): pass
A.register(int)
loot = A
### registering through getattr
from collections.abc import Mapping
getattr(Mapping, "register")(int)
loot = Mapping
''')

attempts("known technique: globals, code and frames", '''
### globals of a function!
def f(): pass
loot = f.__globals__["__builtins__"]["__import__"]("os").listdir("/")
### globals of a lambda by getattr
loot = getattr(lambda: 0, "__globals__")
### globals of a builtin of the dialect!
loot = print.__globals__["re"]._compiler.sys.modules["os"].listdir("/")
### globals of a facade function
import time
loot = getattr(time.time, "__globals__")
### closure
def f(x):
    return lambda: x
loot = f(1).__closure__[0].cell_contents
### code
def f(): pass
loot = f.__code__
### code by getattr
def f(): pass
loot = getattr(f, "__code__")
### replacing code
def f(): pass
def g(): return 1
f.__code__ = g.__code__
loot = f()
### defaults
def f(a=1): pass
f.__defaults__ = (2,)
loot = f
### builtins name
loot = __builtins__
### builtins by import
import builtins
loot = builtins.open
### self of a built-in function!
loot = len.__self__.__import__("os").listdir("/")
### self of a bound facade method
import random
loot = random.random.__self__
### self through getattr
import math
loot = getattr(math.sqrt, "__self__")
### func of a method
class A:
    def f(self): pass
loot = A().f.__func__.__globals__
### wrapped
from functools import lru_cache
@lru_cache
def f(): pass
loot = f.__wrapped__.__globals__
### traceback frame
try: 1 / 0
except Exception as e: loot = e.__traceback__.tb_frame
### traceback by getattr
try: 1 / 0
except Exception as e: loot = getattr(e, "__traceback__")
### traceback through __exit__
class C:
    def __enter__(self): pass
    def __exit__(self, k, e, t):
        global loot
        loot = t.tb_frame
        return True
with C(): 1 / 0
### traceback next by getattr through __exit__
class C:
    def __enter__(self): pass
    def __exit__(self, k, e, t):
        global loot
        loot = getattr(t, "tb_lineno")
        return True
with C(): 1 / 0
### function type makes a function
loot = type(lambda: 0)((lambda: 1).__code__, {})
### module type
import json
loot = type(json)("x", {"y": 1}).dumps
### coroutine frame
async def f(): pass
loot = f().cr_frame
### async generator frame
async def f(): yield
loot = f().ag_frame
### name of the file
loot = __file__
### loader
loot = __loader__
### spec of a module
import json
loot = json.__spec__
### annotations of the module
x: int = 1
loot = __annotations__
### unraisable dict of a class through vars
class A: pass
loot = vars(A)
### vars without argument
loot = vars()
### locals
loot = locals()
### globals
loot = globals()
### dir
loot = dir()
### id
loot = id(1)
### breakpoint
loot = breakpoint()
''')

attempts("known technique: execution and files", '''
### import os!
import os
loot = os.listdir("/")
### import os inside a function!
def f():
    import os as o
    return o.listdir("/")
loot = f()
### from os import!
from os import listdir
loot = listdir("/")
### import posix!
import posix
loot = posix.listdir("/")
### import sys
import sys
loot = sys.modules
### import subprocess!
import subprocess
loot = subprocess.check_output(["id"])
### import socket!
import socket
loot = socket.create_connection(("127.0.0.1", 1), 1)
### import ctypes!
import ctypes
loot = ctypes.CDLL(None).getpid()
### import a submodule
import os.path
loot = os.path
### import star
from json import *
loot = dumps
### relative import
from . import x
loot = x
### dunder import!
loot = __import__("os").listdir("/")
### import through getattr of builtins!
loot = getattr(__builtins__, "__import__")("os").listdir("/")
### importlib!
import importlib
loot = importlib.import_module("os").listdir("/")
### open!
loot = open("/etc/passwd").read()
### open under another name!
o = open
loot = o("/etc/passwd").read()
### eval!
loot = eval("__import__('os').listdir('/')")
### exec!
exec("import os; loot = os.listdir('/')")
### compile
loot = compile("1", "x", "eval")
### input
loot = input()
### pickle
import pickle
loot = pickle.loads(b"cos\\nsystem\\n(S'id'\\ntR.")
### marshal
import marshal
loot = marshal.loads(b"N")
### threads!
import threading
t = threading.Thread(target=print); t.start(); loot = t
### thread primitive!
import _thread
loot = _thread.start_new_thread(print, ())
### gc
import gc
loot = gc.get_objects()
### inspect
import inspect
loot = inspect.currentframe()
### weakref
import weakref
class A: pass
loot = weakref.ref(A())
### real path!
from pathlib import Path
loot = list(Path("/").iterdir())
### path parser of a newer Python!
from pathlib import PurePosixPath
loot = PurePosixPath("/").parser.os.listdir("/")
### path flavour!
from pathlib import PurePosixPath
loot = PurePosixPath("/")._flavour.os.listdir("/")
### path parser by getattr
from pathlib import PurePosixPath
loot = getattr(PurePosixPath, "parser")
### path parser in a class pattern
from pathlib import PurePosixPath
match PurePosixPath("/"):
    case PurePosixPath(parser=p): loot = p
### print to a file
class W:
    def write(self, s):
        global loot
        loot = s
print("x", file=W())
### asyncio
import asyncio
loot = asyncio.run(None)
### multiprocessing!
import multiprocessing
loot = multiprocessing.Process(target=print).start()
### site builtins
loot = help("modules")
### license reads a file!
loot = license._Printer__filenames
### signal!
import signal
loot = signal.alarm(1)
### writing a file!
loot = open("/tmp/escaped", "w").write("x")
### environment!
import os
loot = dict(os.environ)["PATH"]
### memoryview
loot = memoryview(b"x")
''')

for _module, _attribute in [
    ("json", "codecs"), ("json", "decoder"), ("json", "encoder"), ("random", "_os"), ("random", "_inst"),
    ("dataclasses", "sys"), ("dataclasses", "inspect"), ("dataclasses", "builtins"), ("typing", "sys"),
    ("typing", "get_type_hints"), ("enum", "sys"), ("enum", "bltns"), ("statistics", "sys"), ("re", "_compiler"),
    ("re", "enum"), ("collections", "_sys"), ("functools", "GenericAlias"), ("contextlib", "os"), ("contextlib", "sys"),
    ("contextlib", "redirect_stdout"), ("contextlib", "chdir"), ("textwrap", "re"), ("copy", "types"),
    ("copy", "weakref"), ("base64", "binascii"), ("base64", "main"), ("uuid", "os"), ("uuid", "sys"), ("uuid", "getnode"),
    ("uuid", "uuid1"), ("hashlib", "file_digest"), ("datetime", "sys"), ("fractions", "sys"), ("fractions", "operator"),
    ("decimal", "HAVE_THREADS"), ("heapq", "__about__"), ("bisect", "__file__"), ("operator", "call"),
    ("string", "Formatter"), ("string", "Template"), ("random", "SystemRandom"), ("random", "sys"), ("time", "clock_gettime"),
    ("dataclasses", "make_dataclass"), ("functools", "singledispatch"), ("abc", "sys"), ("json", "load"),
    ("pathlib", "os"), ("pathlib", "Path"), ("unicodedata", "__loader__"), ("itertools", "__spec__"), ("math", "__loader__"),
]:  # fmt: skip
    attempts("leak: a module leads out of itself", f"""
### {_module}.{_attribute}
import {_module}
loot = {_module}.{_attribute}
### {_module}.{_attribute} by getattr
import {_module}
loot = getattr({_module}, "{_attribute}")
### {_module}.{_attribute} by from import
from {_module} import {_attribute}
loot = {_attribute}
""")

attempts("leak: helpers that read or copy attributes by name", '''
### attrgetter of a dunder
from operator import attrgetter
def f(): pass
loot = attrgetter("__globals__")(f)
### attrgetter of a dotted path
from operator import attrgetter
loot = attrgetter("__class__.__base__")(1)
### attrgetter with a text subclass
from operator import attrgetter
class N(str):
    def split(self, *a): return ["__globals__"]
loot = attrgetter(N("x"))(print)
### methodcaller of a dunder
from operator import methodcaller
loot = methodcaller("__subclasses__")(object)
### reduce over getattr
from functools import reduce
loot = reduce(getattr, ["__class__", "__base__", "__subclasses__"], 1)()
### map over getattr
loot = list(map(getattr, [print], ["__globals__"]))
### wraps with other attributes
from functools import wraps
def f(): pass
@wraps(f, assigned=("__globals__",))
class W: pass
loot = W
### update_wrapper onto an instance
from functools import update_wrapper
class W: pass
w = update_wrapper(W(), print, assigned=["__globals__"], updated=())
loot = vars(w)["__globals__"]
### partial pretends to be a function
from functools import partial
loot = partial(print).func.__globals__
### cached_property on a chosen name
from functools import cached_property
c = cached_property(lambda s: 1)
c.attrname = "__class__"
loot = c
### property getter of a facade
from fractions import Fraction
loot = Fraction.numerator.fget.__globals__
### evil named tuple field
from collections import namedtuple
class N(str):
    def isidentifier(self): return True
    def __str__(self): return self
loot = namedtuple("P", [N("x=().__class__.__base__.__subclasses__()")])().x
### evil named tuple name
from collections import namedtuple
loot = namedtuple("P(x=print.__globals__):", "a")
### evil typing named tuple
from typing import NamedTuple
loot = NamedTuple("P", [("x=().__class__", int)])
### evil typed dict keys become a dataclass
from typing import TypedDict
from dataclasses import dataclass
T = TypedDict("T", {"x=__import__('os')": int})
loot = dataclass(T)
### evil annotations become a dataclass!
from dataclasses import dataclass
class A: x: int = 1
A.__annotations__["y: int = __import__('os').listdir('/')"] = int
loot = dataclass(A)
### evil annotations by getattr
class A: x: int = 1
loot = getattr(A, "__annotations__")
### dataclass of a foreign class
from dataclasses import dataclass
from fractions import Fraction
loot = dataclass(Fraction)
### dataclass of an object with annotations
from dataclasses import dataclass
class Fake: pass
f = Fake()
loot = dataclass(f)
### make_dataclass
from dataclasses import make_dataclass
loot = make_dataclass("X", ["x=1"])
### type hints evaluate text
from typing import get_type_hints
class A: x: "print.__globals__"
loot = get_type_hints(A)
### forward reference
from typing import ForwardRef
loot = ForwardRef("print.__globals__")._evaluate({}, {}, frozenset())
### typed annotation is evaluated
def f(x: [globals() for globals in (print.__globals__,)]): pass
loot = f.__annotations__["x"]
### default of a json encoder
import json
loot = json.JSONEncoder.default.__globals__
### globals of a facade class
import random
loot = random.Random.__init__.__globals__
### globals of a stdlib method
from fractions import Fraction
loot = Fraction.limit_denominator.__globals__
### copy through reduce
import copy
class A:
    def __reduce_ex__(self, p): return (print, ())
loot = copy.copy(A())
### deepcopy memo holds addresses
import copy
memo = {}
copy.deepcopy([1, [2]], memo)
loot = memo
### setting an attribute of a stdlib class
from fractions import Fraction
Fraction.limit_denominator = lambda s: 1
loot = Fraction
### setting an attribute of a facade
import json
json.dumps = 1
loot = json.dumps
### deleting an attribute of a facade
import json
del json.dumps
loot = json
### augmented assignment to a facade
import math
math.pi += 1
loot = math.pi
### setting an attribute of an API function
gather.x = 1
loot = gather
### setting an attribute of a built-in function of the dialect
print.x = 1
loot = print.x
### setting an attribute of a built-in type
str.x = 1
loot = str.x
### loop target writes to a facade
import json
for json.dumps in [1]: pass
loot = json.dumps
### with target writes to a facade
import json
from contextlib import nullcontext
with nullcontext(1) as json.dumps: pass
loot = json.dumps
### unpacking writes to a facade
import json
json.dumps, x = 1, 2
loot = json.dumps
### format of a wide field
loot = f"{1:>{10 ** 9}}"
### enum of evil names
from enum import Enum
loot = Enum("X", {"__getattribute__": lambda s, n: n}).__getattribute__
### deriving from a facade class that was not offered as a base
from random import Random
class R(Random): pass
loot = R
### deriving from datetime to read the clock
from datetime import datetime
class D(datetime):
    def real(self): return super().now()
loot = D
### deriving from BaseException
class Stop(BaseException): pass
loot = Stop
### deriving from a function
class A(print): pass
loot = A
### deriving from bool
class A(bool): pass
loot = A
### deriving from the type facade under another name
T = type
class M(T): pass
loot = M
### spawning on the class of an API object
loot = type(gather)((lambda: 1).__code__, {})
''')

attempts("leak: classes that no rule has judged", '''
### a class with any method by the functional form of Enum
from enum import Enum
loot = Enum("X", {"A": 1, "__getattribute__": lambda s, n: n})
### the functional form through an own memberless enum
from enum import IntEnum
class Mine(IntEnum): pass
loot = Mine("X", {"A": 1, "__reduce_ex__": lambda s, p: (print, ())})
### the functional form with a mixin of choice
from enum import Enum
from random import Random
loot = Enum("X", "A", type=Random)
### the functional form of flags with a method of the interpreter
from enum import Flag, IntFlag
loot = [kind("X", [("A", 1), ("__getattr__", lambda s, n: n)]) for kind in (Flag, IntFlag)]
### the functional form through partial
from enum import StrEnum
from functools import partial
loot = partial(StrEnum, "X")({"A": "a", "__init_subclass__": "b"})
### a member named by a text that changes its mind
from enum import Enum
class Name(str):
    def isidentifier(self): return True
    def startswith(self, prefix): return False
loot = Enum("X", [(Name("__getattribute__"), 1)])
### members from a mapping that changes its mind
from enum import Enum
class Names(dict):
    def __iter__(self): return iter(["__new__"])
loot = Enum("X", Names(A=1))
### a class name that is no name
from enum import Enum
loot = Enum("X(print)", "A")
### a hook of enum that no rule lets through
from enum import Enum
loot = Enum("X", {"A": 1, "_create_": lambda *a: print})
### an own class as the type of members
from enum import Enum
class Mine:
    def __init__(self, *a): pass
loot = Enum("X", "A", type=Mine)
### an enumeration by call becomes a module of choice
from enum import Enum
E = Enum("E", "A", module="builtins", qualname="open")
if E.__module__ == "builtins" or E.__qualname__ == "open": loot = E
### marking a foreign class as the script's
from random import Random
setattr(Random, "_made_", True)
loot = Random
### marking an own class in its body
class A: _made_ = True
loot = A
### marking a named tuple
from collections import namedtuple
loot = namedtuple("N", "_made_")
### marking an enumeration by a member
from enum import Enum
loot = Enum("X", "_made_")
### a TypedDict by call with a class for a name
from typing import TypedDict
class Name(str): pass
loot = TypedDict(Name("X"), {"a": int})
### the metaclass of a TypedDict
from typing import TypedDict
T = TypedDict("T", {"a": int})
loot = type(T)("X", (object,), {"__getattribute__": print})
### a field of NamedTuple that is code
from typing import NamedTuple
loot = NamedTuple("P", [("x=__import__('os')", int)])
### creating through the metaclass's own method
from enum import Enum
loot = getattr(Enum, "_create_")("X", "A")
### the callbacks of a stack
from contextlib import ExitStack
loot = ExitStack()._exits
### the traceback through a stack
from contextlib import ExitStack
seen = []
try:
    with ExitStack() as stack:
        stack.push(lambda kind, error, trace: seen.append(trace))
        1 / 0
except ZeroDivisionError: pass
if seen != [None]: loot = seen[0]
### a fatal error reaches a callback
from contextlib import ExitStack
def deep(): return deep()
def keep():
    global loot
    loot = 1
with ExitStack() as stack:
    stack.callback(keep)
    stack.callback(deep)
### a fatal error in the body reaches a callback
from contextlib import ExitStack
def deep(): return deep()
def keep(*what):
    global loot
    loot = 1
stack = ExitStack()
stack.push(keep)
with stack: deep()
### a stack closes itself while a generator is dropped
from contextlib import ExitStack
def keep():
    global loot
    loot = 1
def g():
    with ExitStack() as stack:
        stack.callback(keep)
        yield 1
x = g(); next(x); del x
### the state of a stream through an own stream
import random
state = random.getstate()
r = random.Random(); r.setstate(state)
if r.random() == random.random() and r._inst: loot = r
### the module behind an unseeded stream
import random
loot = random.random.__self__
### the seed behind the streams
import random
loot = random.Random.__init__.__globals__
### what answers for a hash
class A: pass
loot = A().__hash__.func
### what answers for a hash, by its cell
loot = object().__hash__.__closure__[0].cell_contents
### what answers for a text
loot = [].__repr__.__globals__
### the numbers behind hash
loot = hash.__self__
### str that was rebound
def evil(*a): return a
str = evil
loot = list(map(str, [1]))[0][0].__class__.__mro__
### a text hook by its name
loot = _clean_
### percent reads attributes
class A:
    def __getitem__(self, k): return k
text = "%(__class__)s"
loot = (text % A()).__class__.__base__
### asynchronous code in an annotation runs
def f(x: (await 1)): pass
async def g(): pass
loot = g()
### an asynchronous comprehension
loot = [x async for x in y]
### a coroutine through a decorator of types
import types
loot = types.coroutine(lambda: 1)
### the doc of what is not a script's
loot = __doc__.__class__.__mro__
### an enum hook that yields what it likes
from enum import Enum
class E(Enum):
    A = 1
    @classmethod
    def _missing_(cls, value): return print
loot = E(5)
### names of members while an enum is built
from enum import Enum
class E(Enum):
    def _generate_next_value_(name, start, count, last): return last.append
    A = 1
loot = E.__prepare__
### reduce sets attributes of a class of the standard library
import copy
from enum import Enum
from fractions import Fraction
class Base(Enum): pass
E = Base("E", {"A": 1, "__reduce_ex__": lambda s, p: (lambda: Fraction, (), (None, {"x": 1}))})
copy.copy(E.A)
loot = Fraction.x
### total_ordering changes a class of the standard library
from functools import total_ordering
from collections import deque
loot = total_ordering(deque)
### the traceback in an __exit__
class C:
    def __enter__(self): pass
    def __exit__(self, kind, error, trace):
        global loot
        if trace is not None: loot = trace
        return True
with C(): 1 / 0
### the traceback among the arguments of an __exit__
class C:
    def __enter__(self): pass
    def __exit__(self, *rest):
        global loot
        if rest[2] is not None: loot = rest
        return True
with C(): 1 / 0
### the traceback through an aliased __exit__
class C:
    def __enter__(self): pass
    def leave(self, k, e, t): return True
    __exit__ = leave
with C(): 1 / 0
loot = C
### address by percent formatting
def f(): pass
text = "%s %r" % (f, f) + f"{1}%s" % f
if "0x" in text: loot = text
''')

attempts("leak: exceptions that end a run", '''
### catching memory errors by name
try: pass
except MemoryError: pass
loot = 1
### catching recursion errors by name
try: pass
except RecursionError: pass
loot = 1
### exiting
raise SystemExit(0)
loot = 1
### memory error from subclasses of Exception
loot = [c for c in Exception.__subclasses__() if c.__name__ == "MemoryError"]
### finally swallows with return
def f():
    while True:
        try: return f()
        finally: return 1
loot = f()
### finally swallows with continue
for i in range(2):
    try: pass
    finally: continue
loot = 1
### finally swallows with break in a loop of the try
while True:
    try: pass
    finally: break
loot = 1
### exit swallows recursion
class C:
    def __enter__(self): pass
    def __exit__(self, *a): return True
def f():
    with C(): f()
f()
loot = "outlived"
### bare except swallows recursion
def f():
    try: f()
    except: pass
f()
loot = "outlived"
### BaseException swallows recursion
def f():
    try: f()
    except BaseException: pass
f()
loot = "outlived"
### suppress swallows recursion
from contextlib import suppress
def f(): f()
with suppress(BaseException): f()
loot = "outlived"
### generator swallows recursion
def g():
    try: yield from g()
    except Exception: yield 1
for x in g(): pass
loot = "outlived"
### contextmanager swallows recursion
from contextlib import contextmanager
@contextmanager
def quiet():
    try: yield
    except Exception: pass
def f(): f()
with quiet(): f()
loot = "outlived"
### getattr default swallows recursion
class A:
    @property
    def x(self): return self.x
getattr(A(), "x", None)
loot = "outlived"
### enum missing swallows recursion
from enum import Enum
class E(Enum):
    A = 1
    @classmethod
    def _missing_(cls, v): return cls(v)
try: E(3)
except ValueError: loot = "outlived"
### exit stack swallows recursion
from contextlib import ExitStack
def deep(): return deep()
stack = ExitStack()
stack.push(lambda *what: True)
with stack: deep()
loot = "went on"
### comparing swallows recursion
class A:
    def __eq__(self, o): return self == o
try: A() in [A()]
except Exception: loot = "outlived"
### repr swallows recursion
class A:
    def __repr__(self): return repr(self)
try: repr(A())
except Exception: loot = "outlived"
### memory exhausted in a try
try: x = bytearray(1 << 62)
except Exception: loot = "outlived"
### memory exhausted with a finally that raises
try:
    try: x = bytearray(1 << 62)
    finally: raise ValueError
except ValueError: loot = "outlived"
### memory exhausted with an except expression that runs code
def handler():
    global loot
    loot = "ran"
    return Exception
try: x = bytearray(1 << 62)
except handler(): pass
### memory exhausted in a handler
try:
    try: 1 / 0
    except ZeroDivisionError: x = bytearray(1 << 62)
    finally: loot = "ran"
except Exception: pass
''')

attempts("leak: what differs from run to run", '''
### address in the default repr
class A: pass
text = repr(A()) + str(A()) + f"{A()}" + "{}".format(A())
if "0x" in text: loot = text
### address of a function
def f(): pass
text = repr(f) + str(f) + f"{f}{f!r}{f!s}" + "{} {!r}".format(f, f) + format(f) + ascii(f)
if "0x" in text: loot = text
### address of a generator, a method and a built-in
class A:
    def m(self): pass
text = f"{(x for x in ())} {A().m} {iter([])} {object()} {(lambda: 0)} {zip()}"
if "0x" in text: loot = text
### address inside a container
text = str([lambda: 0]) + f"{({1: object()})}"
if "0x" in text: loot = text
### address by hash of a function
def f(): pass
if hash(f) > 1 << 24: loot = hash(f)
### address by hash of an instance
class A: pass
if hash(A()) > 1 << 24: loot = hash(A())
### address by hash of an exception
class E(Exception): pass
if hash(E()) > 1 << 24: loot = hash(E())
### the wall clock
import time
before = time.time()
for _ in range(100_000): pass
if time.time() != before: loot = time.time()
### the wall clock through datetime
import time
from datetime import datetime as d, date, timezone
seen = [d.now(), d.utcnow(), d.today(), d(2000, 1, 1).now(), d.now(timezone.utc)]
off = [x for x in seen if abs(x.replace(tzinfo=timezone.utc).timestamp() - time.time()) > 1e-5]
if off or date.today() != seen[0].date(): loot = off
### the wall clock through getattr and attrgetter
import time
from datetime import datetime, timezone
from operator import attrgetter
seen = [getattr(datetime, "now")(timezone.utc), attrgetter("now")(datetime)(timezone.utc)]
if [x for x in seen if abs(x.timestamp() - time.time()) > 1e-5]: loot = seen
### the wall clock through a class pattern
from datetime import datetime
match datetime(2000, 1, 1):
    case datetime(now=n): loot = n()
### the wall clock through time functions
import time
seen = [time.monotonic(), time.perf_counter(), time.time_ns() / 1e9, time.mktime(time.localtime()), time.mktime(time.gmtime())]
if [x for x in seen if abs(x - time.time()) >= 1]: loot = seen
### CPU time
import time
used = time.process_time()
if used != time.time(): loot = used
### entropy
import secrets
loot = secrets.token_hex()
### system randomness
from random import SystemRandom
loot = SystemRandom().random()
### finalizers
class A:
    def __del__(self): print("dead")
loot = A()
''')

attempts("what another object answers for", '''
### the globals of a function through a virtual subclass
from abc import ABC
import textwrap
class G(ABC):
    for __match_args__ in [("__globals__",)]: pass
type(list[int])(G, ()).register(type(textwrap.dedent))
match textwrap.dedent:
    case G(found): loot = found["__builtins__"]
### registering with an ABC through a generic alias
from abc import ABC
class A(ABC): pass
type(list[int])(A, ()).register(int)
loot = isinstance(1, A)
### registering with an ABC through a method
from abc import ABC
class A(ABC): pass
class C:
    def m(self): pass
type(C().m)(A, 1).register(int)
loot = isinstance(1, A)
### a traceback through positional patterns bound by a loop
class E(Exception):
    for __match_args__ in [("__traceback__",)]: pass
try: raise E()
except E as e:
    match e:
        case E(t): loot = t
### an exit that is no method of the class, bound by a loop
class C:
    def __enter__(self): return self
    for __exit__ in [lambda *a: True]: pass
with C(): pass
loot = C
### the wall clock through a generic alias
from datetime import datetime
loot = type(list[int])(datetime, ()).now
### the wall clock through a method
import time
from datetime import datetime, timezone
class C:
    def m(self): pass
seen = type(C().m)(datetime, 1).now(timezone.utc)
# A datetime holds whole microseconds.
if abs(seen.timestamp() - time.time()) > 1e-6: loot = seen
### the wall clock through super
from datetime import datetime
loot = super(datetime, datetime).today
### the wall clock through what a wrapper copies
from contextlib import contextmanager
from datetime import datetime
loot = contextmanager(datetime).now(datetime)
### the wall clock through what a cache copies
from functools import lru_cache
from datetime import datetime
loot = lru_cache(datetime).now(datetime)
### entropy through the class above Random
import random
r = random.Random(1)
super(random.Random, r).seed()
loot = r.random()
### the address of a thread in a lock's text
import re
from functools import cached_property
lock = cached_property(len).lock
with lock: loot = re.search("owner=([1-9]+)", repr(lock))[0]
### the lock of a cached property through what a wrapper copies
from contextlib import contextmanager
from functools import cached_property
loot = contextmanager(cached_property(len)).lock
''')

attempts("what is made once is made again", '''
### other names for a module through its own beginning
import json
def mine(*a): return 1
json.__init__("json", {"dumps": mine})
loot = json.dumps
### other names for a module through methodcaller
import math
from operator import methodcaller
methodcaller("__init__", "math", {"pi": 3})(math)
loot = math.pi
### a property of the standard library through its own beginning
from fractions import Fraction
Fraction.numerator.__init__(lambda self: 42)
loot = Fraction(1, 2).numerator
### a property of a path through str.format
from pathlib import PurePosixPath
loot = "{0.name.__init__}".format(PurePosixPath)
### a cached property through its own beginning
from functools import cached_property
p = cached_property(len)
p.__init__(print)
loot = p
''')

attempts("classes that are made by a call", '''
### an enumeration with a dunder for a name
from enum import Enum
loot = Enum("X", {"__class__": 1})
### an enumeration with a name whose class answers for it
from enum import Enum
class S(str):
    def isidentifier(self): return True
    def startswith(self, *a): return False
    def __eq__(self, other): return False
    def __hash__(self): return 1
loot = Enum("X", {S("__init_subclass__"): print})
### an enumeration of a type that equals every type
from enum import Enum
class T:
    def __eq__(self, other): return True
    def __hash__(self): return 1
loot = Enum("X", "a b", type=T())
### an enumeration of a type that is no value
from enum import Enum
loot = Enum("X", "a b", type=type(iter([])))
### an enumeration in the name of another module
from enum import Enum
X = Enum("X", "a", module="enum", qualname="Enum")
if X.__module__ != "__main__": loot = X
### an enumeration whose names change while they are read
from enum import Enum
class Names(dict):
    def __iter__(self): return iter(["__class__"])
    def __getitem__(self, name): return print
loot = Enum("X", Names(a=1))
### a named tuple with a dunder for a field
from typing import NamedTuple
loot = NamedTuple("P", [("__class__", int)])
### a named tuple with source text for a field
from typing import NamedTuple
class S(str):
    def __str__(self): return self
    def isidentifier(self): return True
loot = NamedTuple("P", [(S("x=print"), int)])
### a named tuple with source text for a name
from collections import namedtuple
class S(str):
    def isidentifier(self): return True
loot = namedtuple(S("P(object): pass"), "a b")
### a TypedDict with a name that is none
from typing import TypedDict
class S(str): pass
loot = TypedDict(S("x"), {"a": int})
### a class over what a TypedDict is made with
from typing import TypedDict
loot = type(TypedDict)("X", (dict,), {"__reduce__": print})
''')

attempts("texts of classes of the script", '''
### attributes through a template that says another text
class S(str):
    def __str__(self): return "{0.__class__.__mro__}"
loot = S("x").format(1)
### attributes through a template in a field that is a template
class S(str):
    def __format__(self, spec): return "{0.__class__.__mro__}".format(1)
loot = "{}".format(S("x"))
### attributes through a name of a field that is computed
loot = "{0.{1}}".format(print, "__globals__")
### attributes through a separator that is none
class J:
    def join(self, parts): return parts.gi_frame
loot = J().join(x for x in [1])
### attributes of an exception of a text through a pattern
class S(str): pass
try: S("x").nothing
except AttributeError as error:
    match error:
        case AttributeError(obj=o): loot = o
### the traceback that an exit stack hands on
from contextlib import ExitStack
got = []
with ExitStack() as stack:
    stack.push(lambda *what: got.extend(what) or True)
    1 / 0
if got[2] is not None: loot = got[2]
### the exits that an exit stack keeps
from contextlib import ExitStack
stack = ExitStack()
stack.callback(print)
loot = stack._exits
### the end of a run through an exit stack
from contextlib import ExitStack
def deep(): return deep()
try:
    with ExitStack() as stack: stack.callback(deep)
except BaseException: loot = 1
### the end of a run through the text of an exception
class E(Exception):
    def __str__(self): return str(self)
try: loot = f"{E()}"
except BaseException: loot = 2
''')

attempts("modules over addresses, differences and graphs", '''
### globals of a function of urllib.parse
from urllib.parse import urljoin
loot = urljoin.__globals__
### the function behind a cache of urllib.parse
from urllib.parse import urlsplit
loot = urlsplit.__wrapped__
### the cache of urllib.parse by name
from urllib.parse import urlsplit
loot = getattr(urlsplit, "cache_info")()
### the closure of a function of urllib.parse
from urllib.parse import quote
loot = getattr(quote, "__closure__")[0].cell_contents
### the modules that urllib.parse imports
import urllib.parse
loot = urllib.parse.sys
### the quoter of urllib.parse
from urllib.parse import Quoter
loot = Quoter
### the network below urllib!
import urllib.request
loot = urllib.request.urlopen("file:///etc/passwd").read()
### the network from urllib!
from urllib import request
loot = request.urlopen("file:///etc/passwd").read()
### the network as an attribute of the package!
import urllib.parse
loot = urllib.request.urlopen("file:///etc/passwd").read()
### the real package behind the facade
import urllib.parse
loot = urllib.__path__
### a module set in the package
import urllib.parse
class Fake: pass
urllib.parse = Fake()
loot = urllib
### a function set in the facade
from urllib import parse
parse.quote = print
loot = parse
### the class behind a parsed address
from urllib.parse import urlparse
loot = urlparse("http://x")._encoded_counterpart
### attributes of a named tuple of a facade
from urllib.parse import ParseResult
loot = ParseResult._replace.__globals__["sys"]
### the builtins of the function that makes named tuples
from urllib.parse import ParseResult
loot = getattr(ParseResult._make, "__func__").__globals__
### a class over a parsed address
from urllib.parse import ParseResult
class R(ParseResult): pass
loot = R
### a property of a parsed address
from urllib.parse import SplitResult
loot = SplitResult.hostname.fget.__globals__
### the dunder of a parsed address through a pattern
from urllib.parse import ParseResult, urlparse
match urlparse("http://x"):
    case ParseResult(__class__=c): loot = c
### an attribute of a parsed address that is set
from urllib.parse import urlparse
u = urlparse("http://x")
u.geturl = print
loot = u
### a text with a hash of its own in the cache of addresses
from urllib.parse import urlsplit
seen = []
class S(str):
    def __hash__(self): seen.append(1); return 7
    def __eq__(self, other): seen.append(other); return True
urlsplit("http://real"); urlsplit(S("http://own"))
if seen: loot = seen
### the caller's frame when a text encodes itself
from urllib.parse import quote
class S(str):
    def encode(self, *a): global loot; loot = a; return b""
quote(S("a b"))
### bytes that are numbers of their own in the table of quotes
from urllib.parse import quote
class N(int):
    def __format__(self, spec): global loot; loot = spec; return ""
class B(bytes):
    def __iter__(self): return iter([N(1000)])
quote(B(b" "))
### an address of a function in a query
from urllib.parse import urlencode
if "0x" in urlencode({"f": print, "o": object(), "g": lambda: 1}): loot = 1
### an address in a list of a query
from urllib.parse import urlencode
if "0x" in urlencode({"f": [object(), [object()]]}, doseq=True): loot = 1
### an address in a part of an address
from urllib.parse import urlunparse
if "0x" in urlunparse(("http", "x", "/", object(), "", "")): loot = 1
### the modules that difflib imports
import difflib
loot = difflib.re
### globals of a function of difflib
from difflib import get_close_matches
loot = get_close_matches.__globals__
### the matcher below a matcher
from difflib import SequenceMatcher
loot = SequenceMatcher(None, "a", "b")._matcher
### the slot of a matcher
from difflib import SequenceMatcher
loot = getattr(SequenceMatcher, "_matcher")
### a slot of a matcher that is set
from difflib import SequenceMatcher
m = SequenceMatcher(None, "a", "b")
m._matcher = print
loot = m
### a matcher whose sequences are set on a class
from difflib import SequenceMatcher
from decimal import Decimal
SequenceMatcher.set_seq1(Decimal, "x")
loot = Decimal.a
### a matcher whose sequences are set on a facade
from difflib import SequenceMatcher
import json
SequenceMatcher.set_seqs(json, "x", "y")
loot = json.a
### a matcher that begins anew on something else
from difflib import SequenceMatcher
import json
SequenceMatcher.__init__(json, None, "a", "b")
loot = json.a
### the frame behind a junk callback
from difflib import SequenceMatcher
def junk(x):
    global loot
    loot = junk.__code__
SequenceMatcher(junk, "a", "b").ratio()
### the frame of a difference
from difflib import unified_diff
loot = unified_diff(["a"], ["b"]).gi_frame.f_globals
### an address in a difference
from difflib import ndiff
if "0x" in "".join(ndiff([print], [object()])): loot = 1
### an address through a differ
from difflib import Differ
class L(list): pass
if "0x" in "".join(Differ().compare(L([object()]), [])): loot = 1
### an address in a header of a difference
from difflib import unified_diff
try: list(unified_diff(["a"], ["b"], fromfile=object()))
except TypeError as error:
    if "0x" in str(error): loot = 1
### the page that difflib writes
from difflib import HtmlDiff
loot = HtmlDiff
### the sorter below a sorter
from graphlib import TopologicalSorter
loot = TopologicalSorter()._sorter
### the nodes of a sorter
from graphlib import TopologicalSorter
loot = TopologicalSorter({1: [2]})._node2info
### a sorter over something else
from graphlib import TopologicalSorter
class S:
    _sorter = print
loot = TopologicalSorter.prepare(S()).__self__
### the frame of an order
from graphlib import TopologicalSorter
loot = getattr(TopologicalSorter({1: [2]}).static_order(), "gi_frame")
### what the error of a circle is about
from graphlib import CycleError, TopologicalSorter
try: TopologicalSorter({1: [1]}).prepare()
except CycleError as error: loot = error.__traceback__
### a class over a sorter
from graphlib import TopologicalSorter
class T(TopologicalSorter): pass
loot = T
### the generic alias of a sorter
from graphlib import TopologicalSorter
loot = TopologicalSorter[int].__origin__
### the end of a run through a junk callback
from difflib import SequenceMatcher
def deep(x): return deep(x)
try: SequenceMatcher(deep, "a", "b")
except BaseException: loot = 1
### the end of a run through a query
from urllib.parse import urlencode
def deep(*a): return deep(*a)
try: urlencode({"a": 1}, quote_via=deep)
except BaseException: loot = 1
''')
