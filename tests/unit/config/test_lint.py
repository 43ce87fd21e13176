"""What the schema cannot say: calendars, limits, references, and what an agent lacks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.config.loader import load
from reconciler.config.times import parse_duration, parse_moment, written
from reconciler.model.desired import CountLimit, GuardSettings, RotationPolicy
from tests.unit.config.documents import (
    HEAD,
    agent,
    desired,
    loaded,
    of_agent,
    of_agents,
    only,
    place,
    rules,
)


def test_an_agent_without_scopes_is_an_error_that_says_how_to_deny_all(tmp_path: Path) -> None:
    found = only(tmp_path, of_agents("x: {deliver_to: []}"))
    assert (found.rule, place(found)) == ("scopes-missing", (6, 3))
    assert "`scopes: {}` means deny all" in found.hint
    assert len(agent(tmp_path, "scopes: {}").scopes) == 0


def test_an_agent_without_delivery_is_an_error_that_says_what_an_empty_list_means(tmp_path: Path) -> None:
    found = only(tmp_path, of_agents("x: {scopes: {}}"))
    assert (found.rule, place(found)) == ("deliver-to-missing", (6, 3))
    assert "`deliver_to: []` means that the plaintext of the first key is discarded" in found.hint


@pytest.mark.parametrize(
    ("fields", "rule", "column", "message"),
    [
        ("narrowing_grace: 8d", "out-of-range", 22, "8d; allowed: 0s to 7d"),
        ("narrowing_grace: 99999w", "bad-duration", 22, "100 years"),
        ("expires_at: 2026-02-30", "bad-date", 17, "no such day"),
        ("expires_at: 9999-12-31", "bad-date", 17, "no such day"),
        ("expires_at: 2026-01-01T25:00:00Z", "bad-date", 17, "no such day"),
        ("expires_at: 0001-01-01T00:00:00+10:00", "bad-date", 17, "no such day"),
        ("metadata: {alter-sync: {}}", "reserved-metadata-key", 16, "alter-sync is reserved"),
        ("rotation: {quiet_for: 59m}", "out-of-range", 27, "59m; it has to be at least 1h"),
        ("rotation: {max_age: 0s}", "out-of-range", 25, "more than 0s"),
        ("rotation: {max_age: 99999w}", "bad-duration", 25, "100 years"),
        ("rotation: {rotate_keys_before: 2026-13-01T00:00:00Z}", "bad-date", 36, "no such day"),
        (
            "rotation: {min_overlap: 15d}",
            "overlap-order",
            5,
            "min_overlap (15d) is longer than max_overlap (14d)",
        ),
        ("rotation: standart", "unknown-policy", 15, '"standart"'),
        ("rotation: {policy: standart}", "unknown-policy", 24, '"standart"'),
        ("ignore: [{field: scopes, until: 2026-02-30}]", "bad-date", 37, "no such day"),
        ("deliver_to: lokal", "unknown-sink", 5, '"lokal"'),
        ("deliver_to: [lokal]", "unknown-sink", 5, '"lokal"'),
        (
            f"scopes: {{google: [{', '.join(f's{n:04d}' for n in range(1600))}]}}",
            "scopes-too-large",
            5,
            "12,812 bytes",
        ),
    ],
)
def test_a_field_that_means_nothing_is_an_error(
    tmp_path: Path, fields: str, rule: str, column: int, message: str
) -> None:
    found = only(tmp_path, of_agent(fields))
    assert (found.severity, found.rule, place(found)) == ("error", rule, (7, column))
    assert message in found.message


@pytest.mark.parametrize(
    ("fields", "rule", "column", "hint"),
    [
        ("scopes: {google: [a, b, a, a]}", "repeated-item", 29, "Remove"),
        ("scopes: {managed_secrets: [a]}", "legacy-secrets", 14, "managed_secret_slugs"),
        ("deliver_to: [local, local]", "repeated-item", 25, "Remove"),
    ],
)
def test_a_field_that_is_odd_is_a_warning(
    tmp_path: Path, fields: str, rule: str, column: int, hint: str
) -> None:
    found = only(tmp_path, of_agent(fields))
    assert (found.severity, found.rule, place(found)) == ("warning", rule, (7, column))
    assert hint in found.hint
    assert loaded(tmp_path, of_agent(fields)).desired is not None


def test_removing_inherited_legacy_secrets_is_no_warning(tmp_path: Path) -> None:
    text = of_agents(
        "x: {scopes: {managed_secrets: null, a: [b]}, deliver_to: []}",
        more="defaults: {scopes: null, metadata: null}\n",
    )
    assert rules(tmp_path, text) == []


def test_a_wrong_field_of_a_template_is_found_at_the_template_once(tmp_path: Path) -> None:
    text = of_agents(
        """
        a: {template: t}
        b: {template: t}
        """,
        more="templates: {t: {scopes: {}, deliver_to: lokal, expires_at: 2026-02-30}}\n",
    )
    assert rules(tmp_path, text) == ["unknown-sink", "bad-date"]


def test_a_day_of_expiry_counts_whole(tmp_path: Path) -> None:
    assert agent(tmp_path, "expires_at: 2027-06-30").expires_at == datetime(2027, 7, 1, tzinfo=UTC)
    moment = agent(tmp_path, "expires_at: 2027-06-30T14:00:00+02:00").expires_at
    assert moment == datetime(2027, 6, 30, 12, tzinfo=UTC)


def test_delivery_to_one_sink_may_be_a_text(tmp_path: Path) -> None:
    assert agent(tmp_path, "deliver_to: local").deliver_to == ("local",)
    assert agent(tmp_path, "deliver_to: []").deliver_to == ()


def test_fields_are_ignored_with_reason_and_until_their_last_day(tmp_path: Path) -> None:
    fields = """\
        ignore:
          - display_name
          - metadata.team
          - {field: scopes, reason: trial}
          - {field: policy, until: 2026-11-24}
          - {field: status, until: 2026-11-23}
        """
    result = loaded(tmp_path, of_agent(fields))
    assert result.desired is not None
    (found,) = result.diagnostics
    assert (found.severity, found.rule, place(found)) == ("warning", "ignore-expired", (7, 5))
    assert result.desired.agents.popitem()[1].ignore == {  # type: ignore[attr-defined]
        "display_name",
        "metadata.team",
        "scopes",
        "policy",
    }


def test_without_a_time_the_current_one_decides(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        of_agent("ignore: [{field: type, until: 2020-01-01}, {field: status, until: 9000-01-01}]")
    )
    result = load([file]).desired
    assert result is not None
    assert [one.ignore for one in result.agents.values()] == [frozenset({"status"})]


POLICIES = """\
rotation_policies:
  standard: {max_age: 90d, min_overlap: 24h, on_overdue: block}
  fast: {max_age: 7d, require_use: false}
defaults: {rotation: standard}
templates:
  overriding: {rotation: {max_age: 60d}}
  none: {rotation: null}
"""
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "policy"),
    [
        ("protect: false", RotationPolicy(max_age=90 * DAY, on_overdue="block")),
        ("rotation: fast", RotationPolicy(max_age=7 * DAY, require_use=False)),
        ("rotation: {max_age: 30d}", RotationPolicy(max_age=30 * DAY, on_overdue="block")),
        (
            "rotation: {policy: fast, quiet_for: 2h}",
            RotationPolicy(7 * DAY, quiet_for=DAY / 12, require_use=False),
        ),
        ("rotation: {max_age: null}", RotationPolicy(on_overdue="block")),
        ("rotation: {}", RotationPolicy(max_age=90 * DAY, on_overdue="block")),
        ("rotation: null", None),
        ("template: overriding", RotationPolicy(max_age=60 * DAY, on_overdue="block")),
        (
            "template: overriding, rotation: {quiet_for: 2h}",
            RotationPolicy(60 * DAY, quiet_for=DAY / 12, on_overdue="block"),
        ),
        ("template: none", None),
        ("template: none, rotation: {max_age: 1d}", RotationPolicy(max_age=DAY)),
        (
            "rotation: {rotate_keys_before: 2026-11-01T00:00:00Z}",
            RotationPolicy(
                90 * DAY, rotate_keys_before=datetime(2026, 11, 1, tzinfo=UTC), on_overdue="block"
            ),
        ),
    ],
)
def test_rotation_is_a_policy_by_name_or_overrides_of_the_inherited_one(
    tmp_path: Path, fields: str, policy: RotationPolicy | None
) -> None:
    text = HEAD + POLICIES + f"agents: {{x: {{scopes: {{}}, deliver_to: [], {fields}}}}}"
    (found,) = desired(tmp_path, text).agents.values()
    assert found.rotation == policy


def test_a_policy_in_disorder_is_found_where_it_is_declared(tmp_path: Path) -> None:
    text = of_agents(
        "x: {scopes: {}, deliver_to: [], rotation: p}",
        more="rotation_policies: {p: {min_overlap: 2d, max_overlap: 1d}}\n",
    )
    found = only(tmp_path, text)
    assert (found.rule, place(found)) == ("overlap-order", (5, 21))


def test_an_unknown_policy_names_the_nearest_or_what_there_is(tmp_path: Path) -> None:
    text = (
        HEAD + "rotation_policies: {standard: {}}\nagents: {x: {scopes: {}, deliver_to: [], rotation: NAME}}"
    )
    assert only(tmp_path, text.replace("NAME", "standart")).hint == 'Did you mean "standard"?'
    assert only(tmp_path, text.replace("NAME", "qqq")).hint == "There are: standard."
    assert "There are none" in only(tmp_path, of_agent("rotation: qqq")).hint


def test_guards_keep_their_defaults_where_nothing_is_said(tmp_path: Path) -> None:
    assert desired(tmp_path, HEAD + "agents: {}").guards == GuardSettings()
    text = """\
guards:
  max_revocations: {count: 5}
  max_changes: {percent: 12.5}
  max_scope_removals: {count: 0, percent: 0}
  revoke_in_use: 0s
  sensitive_scopes: ["google:drive", "*:*admin*", "google:drive"]
  max_rotations_per_run: 7
  key_cap: 2
agents: {}
"""
    assert desired(tmp_path, HEAD + text).guards == GuardSettings(
        max_revocations=CountLimit(5, 10),
        max_changes=CountLimit(10, 12.5),
        max_scope_removals=CountLimit(0, 0),
        revoke_in_use=timedelta(0),
        sensitive_scopes=("*:*admin*", "google:drive"),
        max_rotations_per_run=7,
        key_cap=2,
    )


def test_a_guard_time_beyond_reason_is_refused(tmp_path: Path) -> None:
    assert rules(tmp_path, HEAD + "guards: {revoke_in_use: 99999w}\nagents: {}") == ["bad-duration"]


def test_freeze_windows_count_their_last_day_and_are_sorted(tmp_path: Path) -> None:
    text = """\
freeze:
  - {from: 2026-12-20, to: 2027-01-03, reason: year end}
  - {from: 2026-05-01, to: 2026-05-01}
  - {from: 2026-06-01T10:00:00Z, to: 2026-06-01T12:30:00+02:00, reason: move}
  - {from: 2026-05-01, to: 2026-05-01}
agents: {}
"""
    windows = [(one.start, one.end, one.reason) for one in desired(tmp_path, HEAD + text).freeze]
    assert windows == [
        (datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC), ""),
        (datetime(2026, 6, 1, 10, tzinfo=UTC), datetime(2026, 6, 1, 10, 30, tzinfo=UTC), "move"),
        (datetime(2026, 12, 20, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC), "year end"),
    ]


@pytest.mark.parametrize(
    ("window", "rule"),
    [
        ("{from: 2027-01-03, to: 2026-12-20}", "bad-window"),
        ("{from: 2026-01-01T00:00:00Z, to: 2026-01-01T00:00:00Z}", "bad-window"),
        ("{from: 2026-02-30, to: 2026-03-20}", "bad-date"),
        ("{from: 2026-02-20, to: 2026-02-30}", "bad-date"),
    ],
)
def test_a_window_that_is_none_is_refused(tmp_path: Path, window: str, rule: str) -> None:
    assert rules(tmp_path, HEAD + f"freeze: [{window}]\nagents: {{}}") == [rule]


def test_the_owner_among_its_former_ones_is_a_warning(tmp_path: Path) -> None:
    text = HEAD + "former_owners: [o, b, a, b]\nagents: {}"
    assert rules(tmp_path, text) == ["former-owner-is-owner"]
    assert desired(tmp_path, text).former_owners == ("a", "b")


@pytest.mark.parametrize(
    ("text", "back"),
    [("0s", "0s"), ("90d", "90d"), ("2w", "14d"), ("36h", "1d12h"), ("61s", "1m1s"), ("1d1m", "1d1m")],
)
def test_durations_are_read_and_written(text: str, back: str) -> None:
    duration = parse_duration(text)
    assert duration is not None
    assert written(duration) == back


@pytest.mark.parametrize("text", ["", "d", "1", "1x", "1d ", "1d1d", "1h1d", "99999w"])
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


def test_a_time_without_a_zone_is_none() -> None:
    assert parse_moment("2026-01-01T00:00:00", ends_day=False) is None
