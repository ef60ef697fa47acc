"""PromQL for looks, built from names and label values that nobody has to trust.

Pure text: every name and value from a resource is escaped or refused here, so that no other module concatenates
PromQL. The form of a count is explained at `count`.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from serin.api.spec import MetricLabels

BASELINE_SECONDS: Final = 3600.0
"""How far back a pod's value before the look is searched: a pod whose scrapes failed for minutes and that comes back
then counts what it did since, and not its lifetime."""

PRESENT_SECONDS: Final = 300.0
"""Control must have been seen this shortly before the look; Prometheus's own lookback."""

LE: Final = "le"
PART: Final = "serin_part"
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_STRING: Final = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`"
_MATCHER: Final = rf"[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*(?:{_STRING})"
_SELECTOR: Final = re.compile(
    rf"\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)?\s*"
    rf"(?P<braces>\{{\s*(?P<matchers>(?:{_MATCHER})(?:\s*,\s*{_MATCHER})*)?\s*,?\s*\}})?\s*\Z"
)
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\x00"})


def string(value: str) -> str:
    """`value` as a PromQL string, quotes included."""
    return f'"{value.translate(_ESCAPES)}"'


def literal(value: str) -> str:
    """`value` as an RE2 expression that matches it alone (the set that Go's regexp.QuoteMeta escapes)."""
    return re.sub(r"[\\.+*?()|\[\]{}^$]", lambda found: "\\" + found[0], value)


def label(name: str) -> str:
    """`name`, when it is a label name in every Prometheus.

    Raises:
        ValueError: it is not; a sentence for the user.
    """
    if not _LABEL.match(name):
        raise ValueError(f"{name!r} is not a label name: use letters, digits and _, and no digit first")
    return name


def one_of(name: str, values: Iterable[str]) -> str:
    """A matcher: the label `name` has one of `values`."""
    return f"{label(name)}=~{string('|'.join(literal(value) for value in sorted(set(values))))}"


def each_of(names: Sequence[str], values: Collection[Sequence[str]]) -> tuple[str, ...]:
    """A matcher for each label of `names`; each of `values` has a value for every one.

    They match all combinations of the values, so more than what was asked for: the reader leaves the rest out.
    """
    return tuple(one_of(name, (each[index] for each in values)) for index, name in enumerate(names))


def selector(metric: str, *matchers: str) -> str:
    """An instant vector selector; the metric's name is a string too, so that it can't end the selector."""
    return "{" + ",".join((f"__name__={string(metric)}", *matchers)) + "}"


def narrowed(custom: str, *matchers: str) -> str:
    """The user's selector `custom` with more matchers.

    Raises:
        ValueError: `custom` is not an instant vector selector alone; a sentence for the user.
    """
    found = _SELECTOR.match(custom)
    if found is None or not (found["name"] or found["matchers"]):
        raise ValueError(
            f"{custom!r} is not a selector of a counter: write a metric's name and matchers, like"
            ' checkouts_total{result="ok"}, without functions or operators; Serin counts and sums by itself'
        )
    inside = ",".join(part for part in ((found["matchers"] or "").strip(), *matchers) if part)
    return f"{found['name'] or ''}{{{inside}}}"


def span(seconds: float) -> str:
    """A length of time in PromQL, to the millisecond."""
    return f"{max(1, round(seconds * 1000))}ms"


def count(series: str, seconds: float, by: Iterable[str], grouped: tuple[str, str, str] | None = None) -> str:
    """What the counters of `series` rose by in the last `seconds`, summed by labels.

    `increase()` extrapolates and gives fractions; this is exact. Per pod it is the last sample in the window minus
    the last one before the window. The windows of successive looks adjoin, so the counts add up to what the pods
    counted, also over a failed scrape. A value below its baseline is a restart, and a pod without baseline is new:
    both count from zero. A pod without a sample in the window gives nothing, which is how a stale one is noticed.

    `grouped` is (label, from, pattern): the sum may then also be by a new label, which holds what the first group of
    the RE2 pattern finds in the label `from`.
    """
    end = f"last_over_time({series}[{span(seconds)}])"
    base = f"last_over_time({series}[{span(BASELINE_SECONDS)}] offset {span(seconds)})"
    counted = f"(({end} - {base}) >= 0) or {end}"
    if grouped is not None:
        new, source, pattern = grouped
        counted = f'label_replace({counted}, "{label(new)}", "$1", "{label(source)}", {string(pattern)})'
    return f"sum by ({_names(by)}) ({counted})"


def sums(series: str, seconds: float, by: Iterable[str]) -> str:
    """The last values of `series` in the last `seconds`, summed by labels."""
    return f"sum by ({_names(by)}) (last_over_time({series}[{span(seconds)}]))"


def seen(series: str, seconds: float, by: Iterable[str]) -> str:
    """How many of `series` have a sample in the last `seconds`, by labels."""
    return f"count by ({_names(by)}) (last_over_time({series}[{span(seconds)}]))"


def steady(series: str, seconds: float, by: Iterable[str]) -> str:
    """For each group of counters in which nothing but counting happened in the last `seconds`, how many there are.

    The same series have a sample in them and in as many seconds before, and none of them restarted, as far as samples
    tell. Of these, the difference of two `sums`, now and before, is what `count` gives.
    """
    names, length, both = _names(by), span(seconds), span(2 * seconds)
    end, begin = f"last_over_time({series}[{length}])", f"last_over_time({series}[{length}] offset {length})"
    counted = f"({end} >= {begin}) unless (resets({series}[{both}]) > 0)"
    return f"(count by ({names}) ({counted}) == count by ({names}) ({end})) == count by ({names}) ({begin})"


def present(series: str, seconds: float, by: Iterable[str], within: float = PRESENT_SECONDS) -> str:
    """How many series had a sample shortly before a look of `seconds` began (0: before now)."""
    offset = f" offset {span(seconds)}" if seconds else ""
    return f"count by ({_names(by)}) (last_over_time({series}[{span(within)}]{offset}))"


def together(parts: Mapping[str, str], rest: str) -> str:
    """Several vectors as one, each element with its part's name in the label `PART`; those of `rest` have none.

    To name an element and to compare it with others takes Prometheus as long as to count it, so the largest part has
    no name and comes last.
    """
    named = (f'label_replace({text}, "{PART}", {string(name)}, "", "")' for name, text in parts.items())
    return f"({' or '.join(named)}) or {rest}"


def variant_labels(labels: MetricLabels) -> tuple[str, str, str]:
    """The labels that say whose a series is, in the order in which rows are read."""
    return labels.namespace, labels.service, labels.variant


def edge_matcher(edges: Iterable[float]) -> str:
    """A matcher of the buckets at `edges` and +Inf, as Prometheus 2 (`1`) and 3 (`1.0`) write them."""
    forms = {form for edge in edges for form in (repr(float(edge)), f"{edge:g}", f"{edge:.12g}")}
    return one_of(LE, forms | {"+Inf"})


def _names(names: Iterable[str]) -> str:
    return ", ".join(label(name) for name in names)
