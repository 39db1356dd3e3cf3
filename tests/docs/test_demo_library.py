"""The demo's library tells what it says it tells, and only to whoever brings a token for it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
import yaml

from runner.agents import AgentError
from runner.agents.imports import load
from runner.check import check
from runner.clock import SystemClock
from runner.credentials.keys import Keys
from runner.credentials.verify import Verifier
from runner.models import Script
from runner.policy import load_policy
from tests.unit.tokens_by_hand import URL as ISSUER
from tests.unit.tokens_by_hand import minted

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples/demo"
LIBRARY = "http://127.0.0.1:8650"


def of_demo(call: str) -> Any:
    return load(call, str(DEMO))


def module_of(call: str) -> ModuleType:
    return sys.modules[of_demo(call).__module__]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the standard library's."""
    reader = sys.modules[module_of("library:promises").sources.__module__]
    monkeypatch.setattr(reader, "LIBRARY", tmp_path)
    return tmp_path


# --- what a module promises --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(): ...\nclass C: ...\ndef _g(): ...\nX = 1", 2),
        ("__all__ = ['f', 'X']\ndef f(): ...\ndef g(): ...\nX = 1", 2),
        ("__all__ = ['f']\n__all__ += ('g', 'h')\n__all__.append('i')\n__all__.extend(['f', 'j'])", 5),
        ("__all__ = (base.__all__ + other.__all__)", 0),
        ("__all__ = [n for n in globals() if n[:1] != '_']\nclass C: ...", 1),
        ("try:\n    def f(): ...\nexcept ImportError:\n    pass\nif x:\n    def g(): ...", 2),
    ],
)
def test_what_all_lists_is_promised_and_without_it_what_has_no_underscore(shelf: Path, source: str, names: int) -> None:
    (shelf / "this.py").write_text(source)

    assert of_demo("library:promises")("this")["names"] == names


def test_a_module_is_told_of_in_full(shelf: Path) -> None:
    (shelf / "this.py").write_text('''"""A module.

    >>> f()
    1
    """
import enum, sys
from os.path import join
from . import near
from __future__ import annotations
__all__ = ["f", "C", "X"]
if sys.platform == "win32": import nt
def f():
    """Say one.

    >>> f()
    """
    warnings.warn("no more", DeprecationWarning)
class C:
    def m(self):
        def inner():
            warnings._deprecated("m", remove=(3, 99))
    def _n(self): ...
    @property
    def p(self): "A property."
''')

    assert of_demo("library:promises")("this") == {
        "module": "this",
        "names": 3,
        "methods": 2,
        "silent": ["C", "C.m"],
        "changing": [{"name": "f", "place": "this.py:17"}, {"name": "C.m.inner", "place": "this.py:21"}],
        "examples": 2,
        "platform_choices": 1,
        "leans_on": ["enum", "sys", "os", "nt"],
    }


def test_a_package_promises_nothing_in_what_begins_with_an_underscore(shelf: Path) -> None:
    (shelf / "json").mkdir()
    for name in ("__init__", "_inner", "decoder"):
        (shelf / f"json/{name}.py").write_text("def f(): ...")

    assert of_demo("library:promises")("json")["names"] == 2


def test_notes_are_comments_that_say_what_is_left_to_do(shelf: Path) -> None:
    (shelf / "this.py").write_text("# TODO: more\nX = '# TODO: no comment'\ny = 1  # XXX why\n# fine\n")

    assert of_demo("library:notes")("this")["notes"] == [
        {"place": "this.py:1", "text": "TODO: more"}, {"place": "this.py:3", "text": "XXX why"},
    ]  # fmt: skip


@pytest.mark.parametrize("module", ["../../etc/passwd", "runner", "os.path", ""])
def test_what_is_no_module_of_the_library_is_not_read(module: str) -> None:
    with pytest.raises(AgentError, match="has no module"):
        of_demo("library:promises")(module)


# --- who is told -------------------------------------------------------------------------------


async def asked(home: Path, path: str, token: str | None, *, method: str = "GET") -> httpx2.Response:
    """Ask the server's application, in process."""
    verifier = Verifier(issuer=ISSUER, audience=LIBRARY, jwks=Keys(home, SystemClock()).jwks())
    app = of_demo("library_server:Logged")(of_demo("library_server:library")(verifier))
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=LIBRARY) as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize(
    ("path", "order", "status"),
    [
        ("/modules/this/promises", {"scopes": ("library:read",)}, 200),
        ("/modules/this/notes", {"scopes": ("library:notes",)}, 200),
        ("/modules/this/promises", {"scopes": ("library:notes",)}, 403),
        ("/modules/this/notes", {"scopes": ("library:read",)}, 403),
        ("/modules/this/promises", {"scopes": ("library:read",), "audience": "http://127.0.0.1:8651"}, 401),
        ("/modules/runner/promises", {"scopes": ("library:read",)}, 404),
        ("/modules/..%2Fthis/promises", {"scopes": ("library:read",)}, 404),
        ("/modules/this", {"scopes": ("library:read",)}, 404),
        ("/modules/this/promises", None, 401),
    ],
)
async def test_a_question_needs_a_token_for_this_server_with_its_scope(
    own_home: Path, capfd: pytest.CaptureFixture[str], path: str, order: dict[str, Any] | None, status: int
) -> None:
    token = None if order is None else minted(own_home, SystemClock(), **{"audience": LIBRARY, **order}).token.reveal()

    answer = await asked(own_home, path, token)

    assert answer.status_code == status
    said = capfd.readouterr().out
    assert f'"status": {status}' in said
    assert token is None or token not in said


async def test_a_good_token_opens_no_other_method(own_home: Path) -> None:
    token = minted(own_home, SystemClock(), audience=LIBRARY, scopes=("library:read",)).token.reveal()

    assert (await asked(own_home, "/modules/this/promises", token, method="DELETE")).status_code == 404


# --- the policy and the script -----------------------------------------------------------------


def test_the_policy_names_the_place_where_the_server_listens_by_itself() -> None:
    policy = load_policy(ROOT / "policies/demo_library.yaml")

    assert policy.resources["library"].url == f"http://127.0.0.1:{module_of('library_server:serve').PORT}"


def test_the_resource_of_the_readme_is_that_of_the_policy() -> None:
    blocks = re.findall(r"^```yaml\n(resources:.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (shown,) = (yaml.safe_load(block)["resources"]["library"] for block in blocks)

    resource = load_policy(ROOT / "policies/demo_library.yaml").resources["library"]
    assert shown["url"] == resource.url
    assert [(scope, rule) for scope, rule in shown["scopes"].items() if rule != resource.scopes[scope][0].text] == []


def test_the_script_is_accepted_without_a_remark() -> None:
    script = Script("promises", (DEMO / "promises.py").read_bytes())

    verdict = check(script, load_policy(ROOT / "policies/demo_library.yaml"))

    assert verdict.accepted
    assert verdict.findings == ()
