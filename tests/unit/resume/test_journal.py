"""A journal keeps frames until they are acknowledged, and counts their bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.engine.fast.framing import UNCOUNTED_BYTES, frame_of, text_of
from compat.resume.journal import MAX_BYTES, MAX_FRAMES, Binary, Journal, payload_of, size_of

TEXTS = st.one_of(st.text(max_size=20), st.integers(100, 1500).map(lambda size: "x" * size))
PAYLOADS = st.one_of(TEXTS, TEXTS.map(frame_of), st.binary(max_size=20).map(Binary))
FRAMES = st.lists(TEXTS.map(frame_of), min_size=1, max_size=20)
STEPS = st.lists(st.one_of(PAYLOADS, FRAMES, st.integers(0, 70), st.none()), max_size=80)


@given(STEPS)
async def test_what_is_acknowledged_goes_and_the_rest_stays(
    steps: list[str | bytes | int | list[bytes] | None],
) -> None:
    """A number in ``steps`` is an acknowledgement, None a look at the bytes.

    Finished frames are appended as a ``Socket`` does.
    """
    journal, known, sent = Journal(), 0, list[str | bytes]()
    for step in steps:
        if step is None:
            assert journal.count() == sum(map(size_of, sent[known:]))
        elif isinstance(step, int):
            journal.acknowledge(step)
            known = max(known, min(step, len(sent)))
        elif type(step) is bytes and journal.frames is not None and len(journal.frames) < journal.free:
            journal.frames.append(step)
            sent.append(step)
        elif isinstance(step, list):
            assert journal.extend(step, sum(map(len, step)))
            sent += step
        elif type(step) is not bytes:
            assert journal.add(step, size_of(step))
            sent.append(step)
        assert (journal.begin, journal.end) == (known, len(sent))
        counted = sent[known : known + journal.counted]
        assert journal.size == sum(map(size_of, counted)), "without a look at the others"
        kept = [payload_of(journal.frame(number)) for number in range(known, len(sent))]
        assert kept == [text_of(one) if type(one) is bytes else one for one in sent[known:]]
    assert journal.count() == sum(map(size_of, sent[known:]))


@pytest.mark.parametrize("size", [1, UNCOUNTED_BYTES - 4])
def test_finished_frames_without_a_look_keep_within_the_limits(size: int) -> None:
    journal, frame = Journal(), frame_of("x" * size)
    while journal.add("y" * size, size):
        assert journal.frames is not None
        while len(journal.frames) < journal.free:
            journal.frames.append(frame)
        assert len(journal.frames) <= MAX_FRAMES
        assert journal.count() <= MAX_BYTES
    assert journal.end in (MAX_FRAMES, MAX_BYTES // UNCOUNTED_BYTES)


@pytest.mark.parametrize("over", [False, True])
def test_it_is_full_at_its_limits(over: bool) -> None:
    journal = Journal()
    for _ in range(MAX_FRAMES - 1 + over):
        assert journal.add("", 0)
    assert journal.add("", 0) is not over
    journal = Journal()
    assert journal.add("x" * MAX_BYTES, MAX_BYTES)
    assert journal.add("x", 1) is False
    assert journal.extend([b"x"], 1) is False
    journal = Journal()
    journal.opened()
    assert journal.add("x" * (MAX_BYTES + 1), MAX_BYTES + 1), "one that is larger goes alone"
    journal.acknowledge(1)
    journal.opened()
    assert journal.add("x" * (MAX_BYTES + 1), MAX_BYTES + 1)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("of", ["frames", "bytes"])
def test_finished_frames_are_kept_together_or_not_at_all(count: int, of: str) -> None:
    frame, most = (b"", MAX_FRAMES) if of == "frames" else (b"x" * 4096, MAX_BYTES // 4096)
    journal = Journal()
    for _ in range(most - count):
        assert journal.extend([frame], len(frame))
    assert journal.extend([frame] * (count + 1), len(frame) * (count + 1)) is False
    assert journal.end == most - count
    assert journal.extend([frame] * count, len(frame) * count)
    assert journal.extend([b"x"], 1) is False
    assert (journal.end, journal.count()) == (most, len(frame) * most)


@pytest.mark.parametrize("acknowledged", [1, 2, 3])
@pytest.mark.parametrize("texts", [["ü", "a", "a"], ["a", "ü", "a"], ["a", "a", "ü"], ["ü", "ü", "ü"]])
def test_a_text_that_has_more_bytes_than_characters_is_forgotten_with_them(
    texts: list[str], acknowledged: int
) -> None:
    journal = Journal()
    for text in texts:
        assert journal.add(text, size_of(text))
    journal.acknowledge(acknowledged)
    assert journal.count() == sum(map(size_of, texts[acknowledged:]))
    assert journal.add("a", 1)
    journal.acknowledge(acknowledged + 1)
    assert journal.count() == sum(map(size_of, [*texts, "a"][acknowledged + 1 :]))


def test_bytes_are_counted_as_they_are_sent() -> None:
    assert [size_of(one) for one in ("abc", "über", b"\xff\xfe")] == [3, 5, 2]


def test_a_buffer_that_is_used_again_stays_as_it_was_sent() -> None:
    buffer = bytearray(b"first")
    journal = Journal()
    payload = payload_of({"type": "websocket.send", "bytes": buffer})
    assert journal.add(payload, size_of(payload))
    buffer[:] = b"other"
    assert journal.frame(0) == {"type": "websocket.send", "bytes": b"first"}
    assert type(journal.frame(0)["bytes"]) is bytes, "daphne takes no other class"


@pytest.mark.parametrize("text", [b"7", b'{"a":1}', b"\xff\xfe\xfd"])
def test_a_text_of_bytes_is_not_taken_for_a_frame(text: bytes) -> None:
    """As what some JSON libraries return: it is sent as binary."""
    journal = Journal()
    payload = payload_of({"type": "websocket.send", "text": text})
    assert journal.add(payload, size_of(payload))
    assert journal.frame(0) == {"type": "websocket.send", "bytes": text}
