"""What a process knows of a group that it follows."""

from __future__ import annotations

import pytest

from compat.layers.redis.followed_group import KEPT_LEFT, FollowedGroup

EXPIRY = 60.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only item."""
    now = [100.0]
    monkeypatch.setattr("compat.layers.redis.followed_group.steady", lambda: now[0])
    return now


@pytest.mark.parametrize("count", [1, 2, 3])
def test_who_has_left_is_known_while_messages_may_name_it(clock: list[float], count: int) -> None:
    """Was: the last thousand of each group, 13 MiB in a hundred rooms whose members come and go."""
    group = FollowedGroup(None, EXPIRY)
    names = [f"{number}" for number in range(2 * count + 1)]
    for name in names:
        group.add(name)
    for name in names[:count]:
        group.remove(name)
    clock[0] += EXPIRY - 1
    for name in names[count:-1]:
        group.remove(name)
    assert list(group.left) == names[:-1]
    clock[0] += 1
    group.remove(names[-1])
    assert list(group.left) == names[count:]


def test_who_is_a_member_again_has_not_left(clock: list[float]) -> None:
    group = FollowedGroup(None, EXPIRY)
    for name in ("a", "b"):
        group.add(name)
        group.remove(name)
    clock[0] += 1
    group.add("a")
    assert list(group.left) == ["b"]
    group.remove("a")
    assert list(group.left) == ["b", "a"], "the oldest first"


@pytest.mark.parametrize("more", [0, 1, 2])
def test_of_those_that_have_left_a_thousand_are_known(more: int) -> None:
    group = FollowedGroup(None, EXPIRY)
    names = [f"{number}" for number in range(KEPT_LEFT + more)]
    for name in names:
        group.add(name)
        group.remove(name)
    assert list(group.left) == names[more:]


def test_who_was_no_member_has_not_left() -> None:
    group = FollowedGroup(None, EXPIRY)
    group.remove("a")
    assert list(group.left) == []
