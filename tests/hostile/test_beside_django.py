"""The same attacks on real Django and on us, side by side: at most twice its time and its memory.

The project of `site` is served twice by uvicorn: in the environment "channels" by the real Django and the
real Channels, and without Django by the shim. The same client attacks one after the other. Compared are the
time until the answer, the longest wait of a bystander's echo meanwhile, the peak of the server's memory and
what it keeps. FLOOR_S, FLOOR_MS and FLOOR_BYTES keep noise from deciding, and what fails is measured again: a
fault fails each time.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.hostile.bystanders import Attacked, serve_site
from tests.hostile.corpus import http
from tests.hostile.multipart import HEADER_FLOODS, chunked, posted, upload
from tests.hostile.requests import BIG_NUMBERS, filtered
from tests.hostile.wire import answered
from tests.support.environments import Environment, environment

pytestmark = [pytest.mark.slow, pytest.mark.holds_the_loop, pytest.mark.timeout(900)]

KIB, MIB = 1 << 10, 1 << 20
FORM = "application/x-www-form-urlencoded"
FLOOR_S, FLOOR_MS, FLOOR_BYTES = 0.05, 50.0, 20 * MIB
ATTEMPTS = 3


Pair = dict[Attacked, int]
"""Our server and theirs, and the bytes of memory that each had at the start."""


@dataclass(frozen=True)
class Cost:
    """What an attack took of one server."""

    statuses: list[int]
    seconds: float
    stall_ms: float
    peak: int
    kept: int

    def too_much_beside(self, theirs: Cost) -> list[str]:
        """What is more than twice theirs, and more than the floor."""
        pairs = {
            "seconds": (self.seconds, theirs.seconds, FLOOR_S),
            "ms of a stall": (self.stall_ms, theirs.stall_ms, FLOOR_MS),
            "bytes at the peak": (self.peak, theirs.peak, FLOOR_BYTES),
            "bytes kept": (self.kept, theirs.kept, FLOOR_BYTES),
        }
        return [
            f"{ours:.2f} {what}, theirs {other:.2f}"
            for what, (ours, other, floor) in pairs.items()
            if ours > max(2 * other, floor)
        ]


def cost(attacked: Attacked, requests: Sequence[bytes], before: int) -> Cost:
    """Send the requests, one connection after the other; `before`: bytes that the server had at the start.

    What an allocator has kept of an attack before is thus on both sides, and not only on one.
    """
    attacked.bystanders()
    attacked.forget_peak()
    began, statuses = time.monotonic(), []
    for request in requests:
        statuses.append(answered(attacked.server, request, 300)[0])
    seconds = time.monotonic() - began
    seen = attacked.bystanders()
    assert not seen.dead
    peak, kept = attacked.peak_memory() - before, attacked.memory() - before
    return Cost(statuses, seconds, seen.longest_ms, peak, kept)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    log = tmp_path_factory.mktemp("theirs") / "log"
    with serve_site(environment("channels"), log, shim=False, timed=True) as attacked:
        yield attacked


@pytest.fixture(scope="module")
def ours(bare: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with serve_site(bare, tmp_path_factory.mktemp("ours") / "log", timed=True) as attacked:
        yield attacked


@pytest.fixture(scope="module")
def start(ours: Attacked, theirs: Attacked) -> dict[Attacked, int]:
    """Memory at the start; what is imported with the first request of a kind is not the attack's."""
    for attacked in (ours, theirs):
        for request in (posted(upload(10)), chunked("/form/", FORM, b"a=b", 3), filtered("floatformat", "1")):
            answered(attacked.server, request)
    return {attacked: attacked.memory() for attacked in (ours, theirs)}


def compare(pair: Pair, make: Callable[[], list[bytes]], statuses: set[int]) -> None:
    """AssertionError where we take more than twice what Django takes, three times in a row."""
    requests, too_much = make(), [""]
    ours, theirs = pair
    for _ in range(ATTEMPTS):
        gc.collect()
        their, our = cost(theirs, requests, pair[theirs]), cost(ours, requests, pair[ours])
        print(f"ours {our}\ntheirs {their}")
        assert set(our.statuses) <= statuses, f"ours {our.statuses}, theirs {their.statuses}"
        too_much = our.too_much_beside(their)
        if not too_much:
            break
    assert not too_much, too_much
    log = ours.new_log()
    assert "Traceback" not in log, log[-4000:]


ANSWERED_OR_REFUSED = {200, 400, 413}
REFUSED = {0, 400, 413}
"""0: the server may hang up on a body that it does not want."""


@pytest.mark.parametrize("size", [64 * KIB, 256 * KIB, MIB])
@pytest.mark.parametrize("flood", HEADER_FLOODS)
def test_faults_security_h1_beside_django(flood: str, size: int, start: Pair) -> None:
    compare(start, lambda: [posted(HEADER_FLOODS[flood](size))], ANSWERED_OR_REFUSED)


def test_faults_security_h1_behind_csrf_beside_django(start: Pair) -> None:
    make = lambda: [posted(flood(256 * KIB), target="/") for flood in HEADER_FLOODS.values()]  # noqa: E731
    compare(start, make, {400, 403, 413})


@pytest.mark.parametrize("target", ["/form/", "/", "/body/"])
def test_faults_security_h2_chunked_beside_django(target: str, start: Pair) -> None:
    kind = FORM if target != "/body/" else "application/json"
    make = lambda: [chunked(target, kind, b"a=" + b"x" * (64 * KIB - 2), 100 * MIB)]  # noqa: E731
    compare(start, make, {*REFUSED, 403})


@pytest.mark.parametrize("target", ["/form/", "/"])
def test_faults_security_h2_upload_beside_django(target: str, start: Pair) -> None:
    compare(start, lambda: [posted(upload(300 * MIB), target=target)], {200, 403})


def test_faults_security_h2_five_uploads_beside_django(start: Pair) -> None:
    def make() -> list[bytes]:
        body = posted(upload(60 * MIB))
        return [body] * 5

    compare(start, make, {200})


@pytest.mark.parametrize(
    "name", ["floatformat", "floatformat_2", "floatformat_g", "floatformat_negative", "add", "filesizeformat"]
)
def test_faults_security_m6_beside_django(name: str, start: Pair) -> None:
    make = lambda: [filtered(name, value) for value in BIG_NUMBERS]  # noqa: E731
    compare(start, make, {200, 400} if name.startswith("float") else {200, 400, 500})


M7 = {
    "1,001 fields": [http("GET", "/query/?" + "&".join(f"a{n}=1" for n in range(1001)))],
    "ampersands": [http("GET", "/query/?" + "&" * 60_000)],
    "charsets": [
        http("GET", "/query/?a=%41%ff", f"Content-Type: text/plain; charset={charset}")
        for charset in ("zlib", "idna", "undefined", "rot13", "base64", "punycode", "utf-16")
    ],
    "long static names": [http("GET", "/static/" + "a" * length) for length in (255, 256, 300, 5000, 60_000)],
}


@pytest.mark.parametrize("kind", M7)
def test_faults_security_m7_beside_django(kind: str, start: Pair) -> None:
    compare(start, lambda: M7[kind], {200, 400, 404})


@pytest.mark.parametrize("line", ["X-A: b", "Cookie: a=b", "Accept: a/b", "X-Forwarded-For: 1.2.3.4"])
def test_faults_security_m8_beside_django(line: str, start: Pair) -> None:
    """As many as the server lets through: uvicorn's httptools bounds neither their number nor their size."""
    compare(start, lambda: [http("GET", "/query/", *[line] * 200_000)], {200, 400, 431})
