"""Which tickets are good for posts, and which bodies."""

from __future__ import annotations

import base64
import json

import pytest

from compat.resume.posts import GRACE_S, MAX_FRAMES, Grace, frames_of
from compat.resume.wire import Malformed


def test_a_ticket_outlives_the_responses_that_follow_it_within_the_grace() -> None:
    grace = Grace(3, 100.0)
    for generation in range(4, 600):
        grace.follow(generation, 100.0 + (generation - 3) * GRACE_S / 600)
    assert grace.oldest == 3


def test_an_old_ticket_is_of_no_use_although_its_client_was_never_away() -> None:
    grace = Grace(0, 0.0)
    ends = {}
    for generation in range(1, 100):
        now = generation * GRACE_S / 4
        grace.follow(generation, now)
        ends.update({old: now for old in range(grace.oldest) if old not in ends})
    lived = [ends[old] - (old + 1) * GRACE_S / 4 for old in range(80)]
    assert all(GRACE_S <= seconds <= 3 * GRACE_S for seconds in lived)


def test_as_many_frames_as_there_may_be_with_as_much_punctuation_as_they_like() -> None:
    text, data = '[{,"\\' * 100, b"[{,"
    frames = [text, [base64.b64encode(data).decode()]] * (MAX_FRAMES // 2)
    found = frames_of(json.dumps(frames))
    assert found == [
        {"type": "websocket.receive", "text": text},
        {"type": "websocket.receive", "bytes": data},
    ] * (MAX_FRAMES // 2)


@pytest.mark.parametrize("item", ["[" * 900 + "]" * 900, "[]", "{}"], ids=["deep", "lists", "objects"])
def test_what_is_no_list_of_frames_costs_no_parser(item: str) -> None:
    """Was: half a second in which the event loop did nothing else, for one request."""
    body = ",".join([item] * (2**20 // (len(item) + 1)))
    with pytest.raises(Malformed, match="at most 1024 frames"):  # a parser would say: no JSON
        frames_of(f"[{body}")
