"""Queries are text that users and clusters contribute to: nothing of theirs may leave its place."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.metrics import queries

HOSTILE = ['a"} or vector(1) #', "a\nb", "back\\slash", ".*", "a|b", "x{y}(z)[0]^$+?", "é", "\t\0"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_a_string(value: str) -> None:
    """A value's PromQL string reads back as that value, and holds no bare quote or line end."""
    text = queries.string(value)
    assert ast.literal_eval(text) == value
    assert "\n" not in text


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1))
def test_a_literal_matches_itself_alone(value: str) -> None:
    """The expression for a value matches the whole value, and not the value with one more character."""
    expression = re.compile(queries.literal(value))
    assert expression.fullmatch(value)
    assert not expression.fullmatch(f"{value}x")


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])))
def test_a_metric_name_cannot_end_the_selector(name: str) -> None:
    """Whatever is written as a metric's name is one string of the selector."""
    text = queries.selector(name)
    assert ast.literal_eval(text.removeprefix("{__name__=").removesuffix("}")) == name


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a) (b", "a\n", "namespace, pod", "é"])
def test_a_wrong_label_name_is_refused(name: str) -> None:
    """A label name that is not one gets a sentence, wherever it is used."""
    with pytest.raises(ValueError, match="is not a label name"):
        queries.one_of(name, ["a"])
    with pytest.raises(ValueError, match="is not a label name"):
        queries.count("x", 30, (name,))


@pytest.mark.parametrize(
    ("custom", "inside"),
    [
        ("checkouts_total", 'checkouts_total{a=~"b"}'),
        (' checkouts_total{result="ok", } ', 'checkouts_total{result="ok",a=~"b"}'),
        ("{__name__=~`x.*`}", '{__name__=~`x.*`,a=~"b"}'),
        ('x{y="\\"}"}', 'x{y="\\"}",a=~"b"}'),
        ("x{}", 'x{a=~"b"}'),
    ],
)
def test_a_custom_selector_is_narrowed_inside_its_braces(custom: str, inside: str) -> None:
    """The matchers of Serin are added to the user's."""
    assert queries.narrowed(custom, queries.one_of("a", ["b"])) == inside


@pytest.mark.parametrize(
    "custom",
    ["rate(x[5m])", "x or y", "x[5m]", "x offset 5m", 'x{a="b"} or y{c="d"}', "x) or (y", "x # y", "{}", "", 'x{a="}'],
)
def test_what_is_not_a_selector_alone_is_refused(custom: str) -> None:
    """An expression can't be counted, and is refused with a sentence that shows what to write."""
    with pytest.raises(ValueError, match="is not a selector of a counter: write"):
        queries.narrowed(custom)


def test_edges_are_asked_for_as_both_prometheus_versions_write_them() -> None:
    """`1` and `1.0` are one edge; +Inf is always wanted."""
    matcher = queries.edge_matcher((0.15, 1.0))
    expression = re.compile(ast.literal_eval(matcher.removeprefix("le=~")))
    assert all(expression.fullmatch(form) for form in ("0.15", "1", "1.0", "+Inf"))
    assert not any(expression.fullmatch(form) for form in ("0.1", "0115", "1.05", "Inf"))


def test_spans_keep_milliseconds() -> None:
    """A look of a fraction of a second is not rounded to nothing."""
    assert queries.span(30) == "30000ms"
    assert queries.span(0.25) == "250ms"
