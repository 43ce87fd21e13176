"""The demo's picture of keys: what happened stands where it happened, and nothing is too short to be seen."""

from datetime import UTC, datetime, timedelta

from reconciler.cli.commands.demo.pictures import key_lives
from reconciler.model.key import AgentKey, KeyId
from reconciler.reports.styles import Style

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def key(name: str, *, born: float, deprecated: float | None = None, revoked: float | None = None) -> AgentKey:
    """A key by the hours that things are ago."""

    def ago(hours: float | None) -> datetime | None:
        return None if hours is None else NOW - timedelta(hours=hours)

    return AgentKey(
        KeyId(name * 8),
        f"alter_ak_{name}",
        name,
        NOW - timedelta(hours=born),
        deprecated_at=ago(deprecated),
        revoked_at=ago(revoked),
    )


def drawn(*keys: AgentKey) -> list[str]:
    return key_lives(keys, now=NOW, style=Style.plain())[: len(keys)]


def test_a_key_works_then_fades_then_ends() -> None:
    assert drawn(key("a", born=96, deprecated=48, revoked=24), key("b", born=48)) == [
        f"aaaaaaaa  ●{'━' * 24}{'╌' * 12}✕ revoked",
        f"bbbbbbbb  {' ' * 24}●{'━' * 24}▶ works",
    ]


def test_what_happens_in_one_moment_is_seen_all_the_same() -> None:
    assert drawn(key("a", born=100, deprecated=100, revoked=100), key("b", born=0)) == [
        "aaaaaaaa  ●━╌✕ revoked",
        f"bbbbbbbb  {' ' * 45}●━━━▶ works",
    ]


def test_a_young_key_alone_is_a_whole_line() -> None:
    assert drawn(key("a", born=0)) == ["aaaaaaaa  ●━━▶ works"]
