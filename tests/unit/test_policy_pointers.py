"""References within a schema are read as the schema library reads them."""

from __future__ import annotations

import jsonschema_rs
import pytest

from runner.policy.pointers import walk

ROOT = {"$defs": {"a": {"b": {"type": "string"}}, "c/d": {"type": "string"}, "é": {"type": "string"}, "l": {"allOf": [{"type": "string"}]}}}


@pytest.mark.parametrize("reference", ["#/$defs/a%2Fb", "#/$defs/a/b", "#/$defs/c~1d", "#/$defs/%C3%A9", "#/$defs/l/allOf/0"])
def test_a_reference_leads_where_the_library_goes(reference):
    found = walk(ROOT, reference)

    assert found is not None and found[0] == {"type": "string"}
    assert not jsonschema_rs.Draft202012Validator({"$ref": reference, **ROOT}).is_valid(1)


@pytest.mark.parametrize("reference", ["#/$defs/c%2Fd", "#/$defs/c/d", "#/$defs/l/allOf/1"])
def test_a_reference_that_the_library_does_not_find_leads_nowhere(reference):
    assert walk(ROOT, reference) is None
    with pytest.raises((jsonschema_rs.ReferencingError, jsonschema_rs.ValidationError)):
        jsonschema_rs.Draft202012Validator({"$ref": reference, **ROOT})
