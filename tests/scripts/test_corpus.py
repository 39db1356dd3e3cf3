"""The corpus itself: it uses every feature, and a naive second implementation agrees with what it expects."""

from __future__ import annotations

import ast

import pytest

from tests.scripts import reference
from tests.scripts.cases import CASES, IN_BOTH, Case
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


def test_the_scripts_that_run_in_both_sandboxes_use_every_feature_of_the_api_and_end_in_every_way():
    chosen = [case for case in CASES if case.name in IN_BOTH]

    assert [case.name for case in chosen] == list(IN_BOTH)
    assert [feature for feature in api_features() if not any(uses(feature, TREES[name]) for name in IN_BOTH)] == []
    for ways in (lambda case: case.counts, lambda case: case.limits, lambda case: [case.error]):
        assert {way for case in chosen for way in ways(case)} == {way for case in CASES for way in ways(case)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plain_python_with_a_naive_api_comes_to_the_expected_end(case: Case):
    ended = reference.run(case.source, case.inputs_copy(), limits=case.limits)

    assert (ended.get("error", ""), ended.get("result"), ended["counts"]) == (case.error, case.result, case.counts)
