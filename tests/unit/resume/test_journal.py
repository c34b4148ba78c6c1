"""A journal keeps frames until they are acknowledged, and counts their bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.resume.journal import MAX_BYTES, MAX_FRAMES, Journal, payload_of, size_of

FRAMES = st.lists(st.one_of(st.text(max_size=20), st.binary(max_size=20)), max_size=60)


@given(FRAMES, st.lists(st.integers(0, 70), max_size=10))
async def test_what_is_acknowledged_goes_and_the_rest_stays(
    frames: list[str | bytes], acks: list[int]
) -> None:
    journal, known = Journal(), 0
    for frame in frames:
        assert journal.add(frame, size_of(frame))
    for count in acks:
        journal.acknowledge(count)
        known = max(known, min(count, len(frames)))
        assert (journal.begin, journal.end) == (known, len(frames))
        assert journal.size == sum(map(size_of, frames[known:]))
        kept = [payload_of(journal.frame(number)) for number in range(known, len(frames))]
        assert kept == frames[known:]


@pytest.mark.parametrize("over", [False, True])
def test_it_is_full_at_its_limits(over: bool) -> None:
    journal = Journal()
    for _ in range(MAX_FRAMES - 1 + over):
        assert journal.add("", 0)
    assert journal.add("", 0) is not over
    journal = Journal()
    assert journal.add("x" * MAX_BYTES, MAX_BYTES)
    assert journal.add("x", 1) is False


def test_bytes_are_counted_as_they_are_sent() -> None:
    assert [size_of(one) for one in ("abc", "über", b"\xff\xfe")] == [3, 5, 2]


def test_a_buffer_that_is_used_again_stays_as_it_was_sent() -> None:
    buffer = bytearray(b"first")
    journal = Journal()
    payload = payload_of({"type": "websocket.send", "bytes": buffer})
    assert journal.add(payload, size_of(payload))
    buffer[:] = b"other"
    assert journal.frame(0) == {"type": "websocket.send", "bytes": b"first"}
