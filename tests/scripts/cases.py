"""The scripts of the corpus, each with what stands in the file beside it.

    inputs     what the script is given
    limits     of the run, where the script needs others than the policy's
    result     what the script assigns, or
    error      the kind with which the run ends
    counts     outcome → how many spawns ended so
    warnings   rules of the check that warn of this script, one for each place
    open       why runner does not come to that end yet; its test is expected to fail until it does
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ACCEPTED = HERE / "accepted"


@dataclass(frozen=True)
class Case:
    name: str
    source: str
    inputs: Any
    counts: dict[str, int]
    result: Any = None
    error: str = ""
    limits: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    open: str = ""

    def inputs_copy(self) -> Any:
        return copy.deepcopy(self.inputs)


def _read(path: Path) -> Case:
    return Case(path.stem, path.read_text(), **yaml.safe_load(path.with_suffix(".yaml").read_text()))


CASES = [_read(path) for path in sorted(ACCEPTED.glob("*.py"))]

IN_BOTH = (
    "accept_retries", "budget_by_spawns_left", "cancelled_on_purpose", "denied_scope", "dependency_cause", "divide_and_conquer",
    "enough_cannot", "fallback_list", "fallback_objects", "handle_twice_in_gather", "handles_as_keys", "hedged_request",
    "invalid_inputs_by_hand", "limit_reached_caught", "limit_reached_uncaught", "polling_status", "publish_with_care",
    "retry_decorator", "retry_objects", "retry_options_table", "seconds_left_guard", "uncaught_failure",
)  # fmt: skip
"""Scripts that together use every feature of the API, and end in every way that one of the corpus does: those that
`make test` runs in the other sandbox too. A test holds them to that."""
