"""A consumer whose client comes back joins its groups, and says how many messages a newcomer would get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from compat.engine.cursors import Cursors, Position, Progress, position_of
from compat.engine.events import Event
from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from tests.contract.test_history import ruled, say, waiting
from tests.support.waiting import until_async

Make = Callable[..., Any]
pytestmark = pytest.mark.layers(ours=True)


class Client:
    """What its ticket says (``Missed``), and what comes of it."""

    def __init__(self, **positions: str) -> None:
        self._positions = positions
        self.told: dict[str, tuple[int, bool]] = {}
        """How many messages came of each group that was joined again, and whether none is missing."""
        self.others: list[str] = []
        self.spoilt = False

    def since(self, group: str) -> Position | None:
        if group in self.told or group not in self._positions:
            return None
        return position_of(self._positions[group])

    def was_excluded(self, channels: Sequence[str]) -> bool:
        return "the former one" in channels

    def rejoined(self, group: str, events: Sequence[Event], *, complete: bool) -> None:
        self.told[group] = len(events), complete

    def joined(self, group: str) -> None:
        self.others.append(group)

    def spoil(self) -> None:
        self.spoilt = True


async def returned(layer: Any, client: Client) -> tuple[str, Inbox]:
    """The new consumer of a client."""
    channel, inbox = await layer.new_channel(), inbox_of(asyncio.get_running_loop())
    inbox.follow(Cursors(inbox, lambda: Progress(0), lambda soon: None, client))
    layer.attach(channel, inbox)
    return channel, inbox


@pytest.mark.parametrize("last", [None, 0, 1, 50])
async def test_who_comes_back_gets_what_it_missed_however_many_newcomers_get(
    make: Make, last: int | None
) -> None:
    """Was: with ``last`` it was told "" as if its groups had no history."""
    layer = make(**ruled(on_join=2))
    await say(layer, 1, 4)
    client = Client(chat_x=(await layer.history("chat_x"))[1].id)
    await layer.group_send("chat_x", {"type": "chat.message", "n": 5}, exclude=["the former one"])
    channel, inbox = await returned(layer, client)
    await layer.group_add("chat_x", channel, last=last)
    assert waiting(inbox) == [3, 4]
    assert client.told == {"chat_x": (2, True)}
    assert not client.others and not client.spoilt


async def test_a_position_that_is_gone_gives_what_newcomers_get(make: Make) -> None:
    layer = make(**ruled(count=3))
    await say(layer, 1, 1)
    client = Client(chat_x=(await layer.history("chat_x")).position)
    await say(layer, 2, 9)
    channel, inbox = await returned(layer, client)
    await layer.group_add("chat_x", channel, last=2)
    assert waiting(inbox) == [8, 9]
    assert client.told == {"chat_x": (2, False)}


async def test_last_counts_for_groups_that_are_not_in_the_ticket_and_for_members(make: Make) -> None:
    layer = make(**ruled())
    await say(layer, 1, 4)
    client = Client(chat_x=(await layer.history("chat_x"))[2].id)
    await say(layer, 11, 14, "chat_y")
    channel, inbox = await returned(layer, client)
    await layer.group_add("chat_y", channel, last=3)
    assert waiting(inbox) == [12, 13, 14]
    assert client.others == ["chat_y"]
    await layer.group_add("chat_x", channel, last=3)
    assert waiting(inbox)[3:] == [4]
    await layer.group_add("chat_x", channel, last=3)
    assert waiting(inbox)[4:] == [2, 3, 4], "a member asks for them"


async def test_who_is_to_have_no_more_of_a_group_gets_no_more_when_the_others_leave(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: on the queue layer it got messages again, so at a stop with some left out and the rest twice.

    Then each send waited there for a second, for a message that had come.
    """
    monkeypatch.setattr("compat.layers.redis.receipts.PATIENCE_S", 3600)
    layer = make(**ruled())
    (stops, inbox), (leaves, _) = [await returned(layer, Client()) for _ in range(2)]
    for channel in (stops, leaves):
        await layer.group_add("chat_x", channel)
    assert inbox.cursors is not None
    inbox.cursors.freeze()
    await layer.detach(leaves)
    await asyncio.wait_for(say(layer, 1, 3), 20)
    await layer.send(stops, {"type": "chat.message", "n": 99})
    await until_async(lambda: 99 in waiting(inbox), "what is not of the group still comes")
    assert waiting(inbox) == [99]
