"""Which tickets are good for posts."""

from __future__ import annotations

from compat.resume.posts import GRACE_S, Grace


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
