"""A file that people write is refused with the key that is wrong, and what is allowed there."""

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.simulation.scenario import parse_scenario
from state.errors import PolicyError, SettingsError
from state.policy import Policy, parse_policy
from state.settings import parse_settings


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (
            {"governance": {"autonomy": {"reship": "act", "reroute": "acts"}}},
            "expected one of act, off, propose, was 'acts', at governance.autonomy.reroute",
        ),
        (
            {"governance": {"limits": {"reroute": {"per_hour": -3}}}},
            "expected a whole number >= 0, was -3, at governance.limits.reroute.per_hour",
        ),
        (
            {"sourcing": {"rule": "nearestt"}},
            "expected one of cheapest, least_cost, nearest, was 'nearestt', at sourcing.rule",
        ),
        ({"sourcing": {"max_legs": 99}}, "a whole number >= 1 and <= 5, was 99, at sourcing.max_l"),
        ({"weights": {"late_hour_cents": "x"}}, "<= 1000000000, was 'x', at weights.late_hour_cen"),
        ({"weights": {"late_hours": 1}}, "keys late_fixed_cents, late_hour_cents, carbon_kg_cents"),
        ({"weights": {"late_hours": 1}}, "was 'late_hours', at weights, in p.toml"),
        ({"delays": 5}, "expected a table with some of the keys act_above, "),
        (
            {"reevaluation": {"looks_s": [60, "a"]}},
            "was 'a', at reevaluation.looks_s[1], in p.toml",
        ),
        ({"currency": "eur"}, "expected text like ^[A-Z]{3}$, was 'eur', at currency, in p.toml"),
        (
            {"holds": {"suspect_orders": 1}},
            "expected true or false, was 1, at holds.suspect_orders",
        ),
    ],
)
def test_a_policy_says_which_key_is_wrong_and_what_is_allowed(
    document: dict[str, Any], told: str
) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy(document, "p.toml")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"kafka": {"security": "ssl"}}, "sasl_tls, tls, was 'ssl', at kafka.security, in s.toml"),
        ({"feeds": [{"topic": "a"}, {}]}, "expected the key 'topic', was a table without it, at f"),
        ({"topics": {"actions": "a b"}}, "or one of '', was 'a b', at topics.actions, in s.toml"),
    ],
)
def test_settings_say_it_too(document: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_settings(document, "s.toml")
    assert told in str(refused.value)


@pytest.mark.parametrize("place", ["password", "key_password", "user"])
def test_a_secret_that_was_written_into_the_settings_is_not_shown(place: str) -> None:
    wrong: Any = 4_711_4711 if place == "user" else "hunter2-4711"
    with pytest.raises(SettingsError, match=rf"at kafka\.{place}") as refused:
        parse_settings({"kafka": {place: wrong}}, "s.toml")
    assert "4711" not in str(refused.value)


def test_a_disturbance_is_told_by_its_own_keys() -> None:
    head = {"name": "own", "title": "ours"}
    fire = {"what": "node_fire", "start_h": 1, "end_h": 2}
    with pytest.raises(SettingsError, match=r"was 'x', at disturbances\[1\]\.strength"):
        parse_scenario({**head, "disturbances": [fire, {**fire, "strength": "x"}]}, "own")
    with pytest.raises(SettingsError, match=r"keys start_h, end_h, node, .*was 'radius_km'"):
        parse_scenario({**head, "disturbances": [{**fire, "radius_km": 3}]}, "own")


def _places(table: Any, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in table.items():
        found.append((*before, key))
        if isinstance(value, dict):
            found += _places(value, (*before, key))
    return found


_WHOLE = orjson.loads(Policy().to_json())


@given(
    place=st.sampled_from(_places(_WHOLE)),
    value=st.sampled_from(["nonsense", -1, 10**12, [], [[]], {"nonsense": 1}, None, 0.5, True]),
)
def test_whatever_is_wrong_anywhere_in_a_policy_its_own_key_is_named(
    place: tuple[str, ...], value: Any
) -> None:
    document: Any = msgspec.json.decode(orjson.dumps(_WHOLE))
    table = document
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = value
    try:
        parse_policy(document, "p.toml")
    except PolicyError as error:
        told = str(error)
        assert told.startswith("expected ")
        assert f"at {'.'.join(place)}" in told or place[-1] in told
