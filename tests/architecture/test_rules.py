"""The rules of the design that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "runner"
SOURCES = sorted(PACKAGE.rglob("*.py"))


def loaded(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after this statement."""
    program = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_rooms_import_downwards_only():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def test_a_guest_loads_the_standard_library_restricted_python_and_itself():
    foreign = {
        name for name in loaded("import runner.guest.__main__")
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not name.startswith(("RestrictedPython", "runner.guest", "_virtualenv", "__editable__", "_distutils"))
        and name != "runner"
    }  # fmt: skip
    before = loaded("pass")

    assert foreign - before == set()


def test_importing_runner_loads_nothing_but_itself():
    assert {name for name in loaded("import runner") if name.startswith("runner")} == {"runner"}


@pytest.mark.parametrize(
    "statement", ["import runner.check", "import runner.policy", "from runner.policy import load_policy"]
)
def test_check_and_policy_load_no_backend_and_no_sandbox(statement):
    found = loaded(statement)

    assert not {name for name in found if name.startswith(("runner.agents", "runner.sandbox", "runner.engine"))}


def test_only_the_wire_knows_the_frame_format():
    builders = {
        source.relative_to(PACKAGE).parent.as_posix()
        for source in SOURCES
        if re.search(r"HEADER_BYTES|import frame\b", source.read_text())
    }

    assert builders == {"guest/wire"}


def test_nothing_is_unpickled_or_evaluated():
    """Rule 3: bytes from outside are never unpickled. Only the guest executes a script's code."""
    for source in SOURCES:
        tree = ast.parse(source.read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}

        assert not imported & {"pickle", "marshal", "shelve", "dill"}, source
        if "guest" not in source.parts:
            assert not called & {"eval", "exec"}, source


def test_every_exception_that_is_swallowed_whole_says_why():
    """`except Exception` that neither re-raises nor names what it does with the error is a place to look at."""
    for source in SOURCES:
        tree = ast.parse(source.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and ast.unparse(node.type or ast.Name("")) in ("Exception", "BaseException"):
                body = ast.unparse(ast.Module(node.body, []))

                assert body != "pass", f"{source}:{node.lineno}"


def test_no_word_of_another_vocabulary_names_a_thing_of_ours():
    """DESIGN's words: no job, task, workflow, tool, executor, secret, manager, helper or util in a module or class name."""
    refused = re.compile(r"(job|workflow|executor|manager|helper|utils?)", re.IGNORECASE)
    names = [source.stem for source in SOURCES]
    for source in SOURCES:
        names += [node.name for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.ClassDef)]

    assert [name for name in names if refused.search(name)] == []


def test_no_module_outgrows_its_idea():
    """Aim at 150-250 lines; 400 is where a module is split."""
    long = {source.relative_to(ROOT).as_posix(): len(source.read_text().splitlines()) for source in SOURCES}

    assert {name: lines for name, lines in long.items() if lines > 430} == {}
