"""docs/backends.md on `script`: its files are a policy that loads and runs, its table the keys that there are."""

from __future__ import annotations

import re
from pathlib import Path

from runner import Runner, Script
from runner.policy import load_policy
from runner.policy.backends.script import ScriptFields
from runner.policy.nested import MAX_DEPTH, MAX_NESTED, MAX_SCRIPT_BYTES

PAGE = (Path(__file__).parents[2] / "docs" / "backends.md").read_text()
SECTION = PAGE[PAGE.index("## script\n") :].split("\n## ")[0]
SUMMARISE = 'async def summarise(inputs):\n    return {"brief": inputs["vendor"] + " sells things"}\n'


def files(folder: Path) -> Path:
    """Write the files of the section, each named in its first line; return the policy's."""
    for name, text in re.findall(r"```(?:yaml|python)\n# (\S+)\n(.*?)```", SECTION, re.DOTALL):
        (folder / name).write_text(text)
    (folder / "vendors.py").write_text(SUMMARISE)
    return folder / "policy.yaml"


async def test_the_files_of_the_section_are_a_run_within_a_run(own_home, tmp_path):
    file = files(tmp_path)
    # Not every machine that runs the tests has an engine for the container that is demanded unless written.
    file.write_text(f"{file.read_text()}sandbox: process\n")
    policy = load_policy(file)
    script = Script("outer", b'result = spawn("brief", {"vendors": ["Acme", "Initech"]}).result()')
    async with Runner(home=own_home, sandbox="process") as runner:
        result = await runner.run(script, policy=policy)

    assert result.result == {"briefs": ["Acme sells things", "Initech sells things"]}
    assert policy.agents["brief"].options["within"]["limits"]["spawns"] == 50


def test_the_table_of_the_section_is_that_of_the_code():
    keys = re.findall(r"^\| `(\w+)` \| the script|^\| `(\w+)` \| its policy", SECTION, re.MULTILINE)

    assert [one or other for one, other in keys] == list(ScriptFields.model_fields)
    assert f"at most {MAX_SCRIPT_BYTES // 1024} KiB" in SECTION
    assert f"at most {MAX_DEPTH} deep and {MAX_NESTED} in all" in SECTION
