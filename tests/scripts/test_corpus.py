"""The corpus itself: it uses every feature, and a naive second implementation agrees with what it expects."""

from __future__ import annotations

import ast

import pytest

from tests.scripts import reference
from tests.scripts.cases import CASES, Case
from tests.scripts.features import DIALECT, api_features, uses

TREES = {case.name: ast.parse(case.source) for case in CASES}


def test_there_are_at_least_eighty_scripts_and_no_two_are_the_same():
    assert len(CASES) >= 80
    assert len({ast.dump(tree) for tree in TREES.values()}) == len(CASES)


@pytest.mark.parametrize("feature", api_features())
def test_each_feature_of_the_stub_is_used_by_a_script(feature):
    assert [name for name, tree in TREES.items() if uses(feature, tree)]


@pytest.mark.parametrize("feature", DIALECT)
def test_each_feature_of_the_dialect_is_used_by_a_script(feature):
    assert [name for name, tree in TREES.items() if DIALECT[feature](tree)]


def test_every_kind_of_outcome_but_unauthorised_occurs():
    kinds = {kind for case in CASES for kind in case.counts}

    assert kinds == {
        "ok", "denied", "invalid_input", "failed", "timed_out", "invalid_output", "dependency_failed", "cancelled",
        "outcome_unknown",
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plain_python_with_a_naive_api_comes_to_the_expected_end(case: Case):
    ended = reference.run(case.source, case.inputs_copy(), limits=case.limits)

    assert (ended.get("error", ""), ended.get("result"), ended["counts"]) == (case.error, case.result, case.counts)
