"""Which requests a rule opens, and which paths are read at all."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.policy.paths import BadPath, RequestPath, input_values, inputs_named, parse_rule, read_path


@pytest.mark.parametrize(
    ("raw", "segments", "slash"),
    [
        ("/", (), True),
        ("/a", ("a",), False),
        ("/a/", ("a",), True),
        ("/customers/42/orders", ("customers", "42", "orders"), False),
        ("/caf%C3%A9", ("café",), False),
        ("/a%20b", ("a b",), False),
        ("/100%25", ("100%",), False),
        ("/%41", ("A",), False),
        ("/...", ("...",), False),
        ("/.well-known", (".well-known",), False),
    ],
)
def test_a_path_is_read_decoded_and_segment_by_segment(raw, segments, slash):
    assert read_path(raw) == RequestPath(segments, slash)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "does not begin with a slash"),
        ("a/b", "does not begin with a slash"),
        ("//a", "has an empty segment"),
        ("/a//b", "has an empty segment"),
        ("/a/%20".replace("%20", "%00"), "has a control character"),
        ("/a/../b", "has a dot segment"),
        ("/a/.", "has a dot segment"),
        ("/a/%2e%2e/b", "has a dot segment"),
        ("/a/%2E./b", "has a dot segment"),
        ("/a%2fb", "has an encoded slash"),
        ("/a%2Fb", "has an encoded slash"),
        ("/a%5cb", "has an encoded slash"),
        ("/a\\b", "has a backslash"),
        ("/a/..;/b", "has path parameters"),
        ("/a;jsessionid=1", "has path parameters"),
        ("/a%3Bb", "has path parameters"),
        ("/..%3b/x", "has path parameters"),
        ("/a%252fb", "is encoded twice"),
        ("/%252e%252e", "is encoded twice"),
        ("/a%", "has a percent sign that encodes nothing"),
        ("/a%zz", "has a percent sign that encodes nothing"),
        ("/%ff", "has encoded bytes that are no UTF-8"),
        ("/%c0%af", "has encoded bytes that are no UTF-8"),
        ("/a%0d%0aHost:x", "has a control character"),
        ("/a b", "has a character that no path has"),
        ("/é", "has a character that no path has"),
        ("/a\nb", "has a character that no path has"),
        ("/%EF%BC%8E%EF%BC%8E", "has characters that stand for a slash or a dot"),
        ("/a%EF%BC%8Fb", "has characters that stand for a slash or a dot"),
        ("/" + "a" * 9000, "is longer than 8192 characters"),
    ],
)
def test_a_path_that_two_servers_could_read_differently_is_refused(raw, why):
    with pytest.raises(BadPath) as refused:
        read_path(raw)

    assert str(refused.value) == why


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=0, max_size=40))
def test_what_is_sent_reads_as_what_was_compared(text):
    try:
        path = read_path(f"/{text}")
    except BadPath:
        return
    sent = str(path)

    assert read_path(sent) == path
    assert sent.isascii() and "//" not in sent and not {".", ".."} & set(sent.split("/"))
    # Once more decoded, as a careless server would, it has no more segments than were compared.
    assert unquote(sent).strip("/").count("/") == max(0, len(path.segments) - 1)


@pytest.mark.parametrize(
    ("rule", "inputs", "opens", "not_open"),
    [
        ("GET /customers", {}, ["/customers"], ["/customers/", "/customers/1", "/", "/Customers"]),
        ("GET /customers/", {}, ["/customers/"], ["/customers"]),
        ("GET /a/*", {}, ["/a/b", "/a/%2A"], ["/a", "/a/b/c", "/a/b/"]),
        ("GET /a/**", {}, ["/a", "/a/", "/a/b", "/a/b/c/"], ["/", "/ab"]),
        ("GET /**", {}, ["/", "/a", "/a/b"], []),
        ("GET /c/{inputs.id}", {"id": 42}, ["/c/42", "/c/%34%32"], ["/c/43", "/c/042", "/c/42/", "/c/42/x"]),
        ("GET /c/{inputs.id}/**", {"id": "42"}, ["/c/42", "/c/42/x"], ["/c/43/x", "/c/4", "/c/421"]),
        ("GET /c/{inputs.a.b}", {"a": {"b": "x y"}}, ["/c/x%20y"], ["/c/x"]),
        ("GET /c/{inputs.id}/x", {"id": "*"}, ["/c/*/x", "/c/%2A/x"], ["/c/1/x"]),
        ("GET /c/{inputs.id}", {"id": "**"}, ["/c/**"], ["/c/1/2"]),
        ("GET /c/{inputs.id}", {"id": "{inputs.id}"}, ["/c/%7Binputs.id%7D"], ["/c/x"]),
    ],
)
def test_a_rule_opens_exactly_what_it_says(rule, inputs, opens, not_open):
    bound = parse_rule(rule).bind(inputs)

    assert [raw for raw in opens if not bound.opens("GET", read_path(raw))] == []
    assert [raw for raw in not_open if bound.opens("GET", read_path(raw))] == []
    assert not bound.opens("POST", read_path(opens[0]))


def test_methods_are_exact():
    bound = parse_rule("GET,HEAD /x").bind({})

    assert [method for method in ("GET", "HEAD", "POST", "get", "*") if bound.opens(method, read_path("/x"))] == ["GET", "HEAD"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "is empty"),
        (".", "has a dot segment"),
        ("..", "has a dot segment"),
        ("a/b", "has an encoded slash"),
        ("a\\b", "has an encoded slash"),
        ("a;b", "has path parameters"),
        ("42%2F..", "is encoded twice"),
        ("%2e%2e", "is encoded twice"),
        ("a\nb", "has a control character"),
        ("a\x00", "has a control character"),
        ("．．", "has characters that stand for a slash or a dot"),
        ("x" * 257, "has more than 256 characters"),
        (True, "is no text and no whole number"),
        (4.2, "is no text and no whole number"),
        (None, "is no text and no whole number"),
        (["42"], "is no text and no whole number"),
        ({"id": "42"}, "is no text and no whole number"),
    ],
)
def test_an_input_that_is_not_one_plain_segment_is_refused(value, why):
    with pytest.raises(BadPath) as refused:
        parse_rule("GET /customers/{inputs.id}").bind({"id": value})

    assert str(refused.value) == f'input "id" {why}'


def test_an_input_that_is_not_there_is_refused():
    with pytest.raises(BadPath, match=r'input "a\.b" is not there'):
        parse_rule("GET /{inputs.a.b}").bind({"a": 1})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("GET", "methods and a path"),
        ("/x", "methods and a path"),
        ("get /x", "methods are GET"),
        ("* /x", "methods are GET"),
        ("GET,GET /x", "a method stands there twice"),
        ("GET x", "the path begins with a slash"),
        ("GET /x?y", "has no query"),
        ("GET /a/**/b", "** stands at the end only"),
        ("GET /a*", "* and ** are whole segments"),
        ("GET /files/%2A%2A", "* and ** are whole segments"),
        ("GET /{inputs.id}.json", "an input is a whole segment"),
        ("GET /{customer}", "an input is a whole segment"),
        ("GET /a/../b", "the path has a dot segment"),
        ("GET /a//b", "the path has an empty segment"),
        ("GET /a%2fb", "the path has an encoded slash"),
        (7, "methods and a path"),
        (["GET /x"], "methods and a path"),
    ],
)
def test_a_rule_that_is_none_is_told_what_is_allowed(text, why):
    with pytest.raises(ValueError, match="methods and a path") as refused:
        parse_rule(text)

    assert why in str(refused.value)


def test_a_bound_rule_is_shown_as_what_it_opens():
    assert str(parse_rule("GET,HEAD /c/{inputs.id}/*/**").bind({"id": "a*b"})) == "GET,HEAD /c/a%2Ab/*/**"


def test_details_are_filled_in_where_a_whole_text_names_an_input():
    template = [{"type": "customer", "identifier": "{inputs.id}", "actions": ["read"], "note": "not {inputs.id}"}]

    assert inputs_named(template) == {("id",)}
    assert input_values(template, {"id": 42}) == [
        {"type": "customer", "identifier": "42", "actions": ["read"], "note": "not {inputs.id}"}
    ]
    with pytest.raises(BadPath):
        input_values(template, {"id": "../1"})
