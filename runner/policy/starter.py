"""The files that `runner init` writes: a policy, one python agent, and a script that runs at once with them.

Nothing is overwritten: where one of them exists, none is written.
"""

from __future__ import annotations

from pathlib import Path

from runner.errors import UsageError

POLICY = """\
# What scripts may do here. `runner policy check runner.yaml` reads it as a run would.
version: 1
description: A policy to start from.

limits:
  wall: 1m            # of the whole run
  spawns: 100         # how many agents a script may ask for
  parallel: 10        # how many of them run at once

# process: the best sandbox that this machine has. docker: nothing less will do.
sandbox: process

agents:
  read_text:
    description: Counts the words of a text and names its most frequent long ones.
    python: agents:read_text
    input:
      type: object
      properties:
        text: {type: string, maxLength: 100000}
      required: [text]
    output:
      type: object
      properties:
        words: {type: integer}
        frequent: {type: array, items: {type: string}}
      required: [words, frequent]
    timeout: 10s
    retries: 2          # how many further attempts a script may ask for
    effects: none       # irreversible, unless you say otherwise
"""

AGENTS = '''\
"""The agents of this folder's policy: plain functions from inputs to output, both JSON."""

import re
from collections import Counter


def read_text(inputs):
    words = re.findall(r"[a-z]+", inputs["text"].lower())
    frequent = Counter(word for word in words if len(word) > 4)
    return {"words": len(words), "frequent": [word for word, _ in frequent.most_common(3)]}
'''

SCRIPT = '''\
"""Read three texts at once, then read the longest and the shortest again, as one."""

texts = inputs.get("texts") or [
    "A script says what to delegate, and a policy says what may be delegated.",
    "The sandbox has no files and no network; a script in it can only ask.",
    "Every answer is written down before it is sent, so that a run can be told again.",
]

first = gather([spawn("read_text", {"text": text}, label=text[:20]) for text in texts])
order = sorted(range(len(texts)), key=lambda n: first[n]["words"])
both = spawn("read_text", {"text": texts[order[0]] + " " + texts[order[-1]]})

result = {"each": first, "shortest and longest": both.result()}
'''

FILES = {"runner.yaml": POLICY, "agents.py": AGENTS, "hello.py": SCRIPT}


def write_starter(folder: Path) -> list[Path]:
    """Write the files into a folder, which is made if it is not there, and return them: policy, agents, script.

    Raises UsageError: one exists, or the folder cannot be written. Then none of them was written by this call.
    """
    folder = Path(folder)
    existing = [name for name in FILES if (folder / name).exists() or (folder / name).is_symlink()]
    if existing:
        raise UsageError(
            f'"{folder}" has {", ".join(existing)} already, and nothing is overwritten',
            hint="name another folder: `runner init FOLDER`",
        )
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in FILES.items():
            with (folder / name).open("x", encoding="utf-8") as opened:
                written.append(folder / name)
                opened.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise UsageError(
            f'"{folder}" cannot be written: {str(error.strerror).lower()}', hint="name a folder that you may write"
        ) from error
    return written
