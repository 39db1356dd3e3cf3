"""`python -m benchmarks.first_try tasks | prompt [TASK] | grade FOLDER [--only TASK] [--json FILE] | free FOLDER`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from benchmarks.first_try.free import grade_free, table_of_free
from benchmarks.first_try.grade import grade, request, scripts_of, summary, table, to_json
from benchmarks.first_try.tasks import TASKS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_try", description="Measure first tries.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("tasks", help="list the tasks")
    asking = verbs.add_parser("prompt", help="print what a model is given for a task")
    asking.add_argument("task", choices=TASKS)
    grading = verbs.add_parser("grade", help="grade the scripts of a folder, TASK.py each")
    grading.add_argument("folder", type=Path)
    grading.add_argument("--only", action="append", default=[], choices=TASKS, metavar="TASK", help="of this task")
    grading.add_argument("--json", type=Path, help="write the grades here as well")
    free = verbs.add_parser("free", help="check and run the scripts of a folder, NAME.py with inputs in NAME.json")
    free.add_argument("folder", type=Path)
    words = parser.parse_args()
    if words.verb == "tasks":
        print("\n".join(f"{task.name}: {task.words}" for task in TASKS.values()))
    elif words.verb == "prompt":
        print(request(TASKS[words.task]), end="")
    elif not words.folder.is_dir():
        print(f'"{words.folder}" is no folder with scripts', file=sys.stderr)
        return 2
    elif words.verb == "free":
        print(table_of_free(asyncio.run(grade_free(sorted(words.folder.glob("*.py"))))))
    else:
        return _graded(words.folder, words.only, words.json)
    return 0


def _graded(folder: Path, names: list[str], json_file: Path | None) -> int:
    """Print the table; 0 when every script there is was right, else 1."""
    grades = asyncio.run(grade(scripts_of(folder), names))
    print(table(grades))
    if json_file is not None:
        json_file.write_text(json.dumps(to_json(folder, grades), indent=2, ensure_ascii=False) + "\n")
    counts = summary(grades)
    return 0 if counts["right"] == counts["written"] else 1


if __name__ == "__main__":
    sys.exit(main())
