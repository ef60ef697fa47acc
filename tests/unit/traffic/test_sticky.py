"""Which variant a user is hashed to, and which policies say so."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from serin.traffic.splits import Backend, Split
from serin.traffic.sticky import Hashing, chosen, combined, hashing
from serin_services.assignment import bucket

USERS = st.text(min_size=1, max_size=40)


def split(*weights: int | None) -> Split:
    """Return a rule whose backends are canary and control, in this order."""
    names = ("canary", "control", "other")
    backends = tuple(Backend(name, "/w", weight) for name, weight in zip(names, weights, strict=False))
    return Split("sticky", "/spec", backends)


@given(user=USERS)
def test_one_header_is_the_services_own_bucket(user: str) -> None:
    """Without a salt, operator and services compute the same bucket of a hundred."""
    assert combined([user]) % 100 == bucket(user)


@given(user=USERS, salt=USERS)
def test_two_headers_are_folded_as_envoy_does(user: str, salt: str) -> None:
    """The first hash is rotated left by one bit and xored with the second, in 64 bits, as the services do too."""
    first, second = (xxhash.xxh64_intdigest(each.encode(), seed=0) for each in (user, salt))
    rotated = int(f"{first:064b}"[1:] + f"{first:064b}"[0], 2)
    assert combined([user, salt]) == rotated ^ second
    assert combined([user, salt]) % 100 == bucket(user, salt)


@given(user=USERS, salt=USERS, low=st.integers(0, 100), high=st.integers(0, 100))
def test_nobody_leaves_while_the_weight_rises(user: str, salt: str, low: int, high: int) -> None:
    """Whoever has the canary at a weight has it at every higher one, for the canary is first and the sum constant."""
    low, high = sorted((low, high))
    number = combined([user, salt])
    if chosen(split(low, 100 - low), number)[0] == "canary":
        assert chosen(split(high, 100 - high), number)[0] == "canary"


def test_shares_are_the_weights_and_salts_are_apart() -> None:
    """Of 20,000 users 5 % have the canary; with another salt they are others, as many as chance has in common."""
    users = [f"user-{number}" for number in range(20_000)]
    groups = [
        {user for user in users if chosen(split(5, 95), combined([user, salt]))[0] == "canary"}
        for salt in ("phase4", "phase5")
    ]
    for group in groups:
        assert len(group) / len(users) == pytest.approx(0.05, abs=0.006)
    # 5 % of 5 % are 50 users; a salt that does nothing would have 1,000 in common.
    assert len(groups[0] & groups[1]) < 120


def test_weights_pick_in_the_order_of_the_route() -> None:
    """Buckets are handed out from the first backend on; a weight that is not written counts 1."""
    assert [chosen(split(5, 95), number)[0] for number in (0, 4, 5, 99, 100, 105)] == [
        "canary", "canary", "control", "control", "canary", "control",
    ]  # fmt: skip
    assert chosen(split(None, None), 3) == ("control", 1, 2)
    with pytest.raises(ValueError, match="nobody is served"):
        chosen(split(0, 0), 1)


def policy(section: str | None, *headers: str, kind: str = "HTTPRoute", name: str = "shop") -> dict[str, Any]:
    """Return a BackendTrafficPolicy that hashes headers."""
    ref = {"kind": kind, "name": name, **({"sectionName": section} if section else {})}
    consistent = {"type": "Headers", "headers": [{"name": each} for each in headers]}
    load = {"type": "ConsistentHash", "consistentHash": consistent}
    return {"metadata": {"namespace": "shop"}, "spec": {"targetRefs": [ref], "loadBalancer": load}}


ROUTE: dict[str, Any] = {
    "metadata": {"name": "shop", "namespace": "shop"},
    "spec": {"parentRefs": [{"name": "serin", "namespace": "gateway"}]},
}
SALTS: dict[str, Any] = {
    "metadata": {"namespace": "gateway"},
    "spec": {
        "targetRefs": [{"kind": "Gateway", "name": "serin"}],
        "headers": {"earlyRequestHeaders": {"set": [{"name": "X-Salt", "value": "phase4"}]}},
    },
}


def test_the_policy_of_the_rule_comes_before_that_of_the_route() -> None:
    """A policy for the rule wins; one for another route, rule or kind of object says nothing."""
    others = [policy("rest", "a"), policy(None, "b", name="other"), policy(None, "c", kind="GRPCRoute")]
    assert hashing(ROUTE, "sticky", others, []) is None
    whole = hashing(ROUTE, "sticky", [policy(None, "x-user-id"), *others], [])
    assert whole == Hashing(("x-user-id",), {})
    found = hashing(ROUTE, "sticky", [policy(None, "x-user-id"), policy("sticky", "X-User-Id", "x-salt")], [SALTS])
    assert found == Hashing(("x-user-id", "x-salt"), {"x-salt": "phase4"})
    assert found is not None
    assert found.user_header == "x-user-id"
    assert found.number("u1") == combined(["u1", "phase4"])


def test_a_salt_of_another_gateway_does_not_count() -> None:
    """Only the Gateways that the route names set its headers; two free headers are no user."""
    elsewhere = {**SALTS, "metadata": {"namespace": "elsewhere"}}
    found = hashing(ROUTE, "sticky", [policy("sticky", "x-user-id", "x-salt")], [elsewhere])
    assert found is not None
    assert found.salts == {}
    assert found.user_header == ""


def test_the_operator_does_not_need_the_hash() -> None:
    """The controller starts without the hash library: only `whois` predicts users."""
    code = "import sys; sys.modules['xxhash'] = None; import serin.controller.main, serin.cli.main"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_documentation_shows_a_real_bucket() -> None:
    """The example of `whois` in docs/traffic.md is what the function says."""
    text = (Path(__file__).parents[3] / "docs/traffic.md").read_text()
    assert f"bucket {combined(['u-0042', 'phase4']) % 100} of 100 by x-user-id" in text
