"""The table of verbs is what the verbs themselves say, and asking for help imports none of them."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from runner.cli import call
from runner.cli.app import VERBS, Verb

HEAVY = (
    "asyncio", "pydantic", "yaml", "jsonschema_rs", "rich", "sqlite3", "RestrictedPython", "runner.engine",
    "runner.broker", "runner.journal", "runner.sandbox", "runner.policy", "runner.check",
)  # fmt: skip


def leaves(verbs: dict[str, Verb], *above: str) -> list[tuple[list[str], Verb]]:
    found = []
    for name, verb in verbs.items():
        found += leaves(verb.verbs, *above, name) if verb.verbs else [([*above, name], verb)]
    return found


@pytest.mark.parametrize(
    ("words", "verb"), leaves(VERBS), ids=lambda case: " ".join(case) if type(case) is list else ""
)
def test_each_verb_is_there_and_its_line_of_help_is_its_docstrings_first(words, verb, capsys):
    module, _, function = verb.place.partition(":")
    found = getattr(importlib.import_module(f"runner.cli.{module}"), function)

    assert found.__doc__.splitlines()[0] == verb.help
    assert call([*words, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: runner {' '.join(words)} ")


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_and_version_import_nothing_heavy(words):
    code = (
        f"import sys; from runner.cli import call; call({words!r}); print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert said.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "usage: missing command\nhint: `runner --help` tells what it takes\n"),
        (
            ["rnu"],
            'usage: "runner" has no verb "rnu"\nhint: did you mean `runner run`? `runner --help` tells them all\n',
        ),
        (["run"], "usage: missing argument 'SCRIPT|-'\nhint: `runner run --help` tells what it takes\n"),
        (["run", "x", "--fast"], "usage: no such option: --fast\nhint: `runner run --help` tells what it takes\n"),
        (["runs", "--limit", "x"], None),
        (["policy", "chekc"], None),
    ],
    ids=lambda case: " ".join(case) if type(case) is list else "",
)
def test_a_wrong_call_is_one_error_with_its_help_and_exit_code_2(words, error, capsys):
    assert call(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert error is None or said.err == error
    assert len(said.err.splitlines()) == 2


def test_the_version_is_on_stdout(capsys):
    from runner import __version__

    assert call(["--version"]) == 0
    assert capsys.readouterr().out == f"runner {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_completion_script_and_completes_verbs(shell):
    code = "from runner.cli import main; main()"
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "_RUNNER_COMPLETE": f"source_{shell}"}
    script = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    environment |= {"_RUNNER_COMPLETE": f"complete_{shell}", "COMP_WORDS": "runner j", "COMP_CWORD": "1"}
    environment |= {"_TYPER_COMPLETE_ARGS": "runner j", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    verbs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)

    assert (script.returncode, verbs.returncode) == (0, 0), script.stderr + verbs.stderr
    assert "_RUNNER_COMPLETE" in script.stdout
    assert "journal" in verbs.stdout
    assert "doctor" not in verbs.stdout
