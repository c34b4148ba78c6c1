"""The threads that sync code of requests runs in: whose they are, and how often they are used."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import pytest
from asgiref.local import Local
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.core.handlers import threads
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse
from django.middleware.common import CommonMiddleware
from django.test import override_settings
from django.urls import get_urlconf, path, set_urlconf
from django.utils.deprecation import MiddlewareMixin

from tests.support.waiting import until_async

WAIT_S = 20


@contextmanager
def serving(*views: Callable[..., Any], middleware: tuple[str, ...] = ()) -> Iterator[ASGIHandler]:
    """An application with a page for each view, at its name."""
    urls = type("urls", (), {"urlpatterns": [path(f"{view.__name__}/", view) for view in views]})
    with override_settings(ROOT_URLCONF=urls, MIDDLEWARE=list(middleware)):
        yield ASGIHandler()


async def page(application: ASGIHandler, name: str, leave: asyncio.Event | None = None) -> str:
    """Ask for a page; the client stays until ``leave`` is set."""
    first: list[dict[str, Any]] = [{"type": "http.request", "body": b""}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if first:
            return first.pop()
        await (leave or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": f"/{name}/", "headers": [(b"host", b"testserver")]}
    await asyncio.wait_for(application(scope, receive, send), WAIT_S)
    return b"".join(message.get("body", b"") for message in sent).decode()


def here(request: Any = None) -> HttpResponse:
    return HttpResponse(str(threading.get_ident()))


class NotesThread(MiddlewareMixin):
    def process_request(self, request: Any) -> None:
        request.hook_in = threading.get_ident()


class NotesThreads(CommonMiddleware):
    """One of the subset's, with hooks of a project's, which may block and ask for the user."""

    def process_request(self, request: Any) -> Any:
        request.notes = [f"{request.user} {threading.get_ident()}"]
        return super().process_request(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        request.notes.append(f"{request.user} {threading.get_ident()}")

    def process_exception(self, request: Any, error: Exception) -> HttpResponse:
        return HttpResponse(f"{request.user} {threading.get_ident()}")

    def process_response(self, request: Any, response: Any) -> Any:
        request.notes += [response.text, f"{request.user} {threading.get_ident()}"]
        response.content = " in ".join(sorted(set(request.notes)))
        return super().process_response(request, response)


class NotesThreadsAround(NotesThreads):
    async def __acall__(self, request: Any) -> Any:
        return await super().__acall__(request)


class Blocked:
    """A view that waits until it is told to go on."""

    def __init__(self) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None
        self.__name__ = "blocked"

    def __call__(self, request: Any) -> HttpResponse:
        self.thread = threading.current_thread()
        self.entered.set()
        assert self.go_on.wait(WAIT_S)
        return HttpResponse("late")


def request_threads() -> int:
    return sum(thread.name == "django-request" for thread in threading.enumerate())


async def test_a_thread_serves_one_request_after_the_other() -> None:
    with serving(here) as application:
        assert len({await page(application, "here") for _ in range(5)}) == 1


async def test_requests_side_by_side_have_a_thread_each() -> None:
    blocked = Blocked()
    with serving(here, blocked) as application:
        first = asyncio.create_task(page(application, "blocked"))
        await asyncio.to_thread(blocked.entered.wait, WAIT_S)
        assert blocked.thread and await page(application, "here") != str(blocked.thread.ident)
        blocked.go_on.set()
        assert await first == "late"


async def test_all_sync_code_of_a_request_runs_in_its_thread() -> None:
    async def nested() -> int:
        return await sync_to_async(threading.get_ident)()

    async def mixed(request: Any) -> HttpResponse:
        hops = {
            request.hook_in,
            await sync_to_async(threading.get_ident)(),
            await sync_to_async(async_to_sync(nested))(),
        }
        elsewhere = await sync_to_async(threading.get_ident, thread_sensitive=False)()
        return HttpResponse(f"{len(hops)} {elsewhere in hops}")

    with serving(mixed, middleware=(f"{__name__}.NotesThread",)) as application:
        assert await page(application, "mixed") == "1 False"


@pytest.mark.parametrize("name", ["NotesThreads", "NotesThreadsAround"])
async def test_hooks_that_a_project_adds_run_in_the_requests_thread(name: str) -> None:
    def fails(request: Any) -> HttpResponse:
        raise LookupError(threading.get_ident())

    before = (
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    )
    with serving(fails, middleware=(*before, f"{__name__}.{name}")) as application:
        user, thread = (await page(application, "fails")).split()
        assert user == "AnonymousUser" and thread != str(threading.get_ident())


async def test_inside_of_another_context_that_one_counts() -> None:
    with serving(here) as application:
        async with ThreadSensitiveContext():
            own = await sync_to_async(threading.get_ident)()
            assert await page(application, "here") == str(own)
        assert await page(application, "here") != str(own)


@pytest.mark.parametrize("how", ["the client leaves", "the server cancels"])
async def test_a_view_that_outlives_its_request_keeps_its_thread_from_others(how: str) -> None:
    blocked, leave = Blocked(), asyncio.Event()
    with serving(here, blocked) as application:
        request = asyncio.create_task(page(application, "blocked", leave))
        await asyncio.to_thread(blocked.entered.wait, WAIT_S)
        leave.set() if how == "the client leaves" else request.cancel()
        await asyncio.sleep(0.1)  # longer than a handler takes to notice
        assert blocked.thread
        for _ in range(3):
            assert await page(application, "here") != str(blocked.thread.ident)
        blocked.go_on.set()
        with suppress(asyncio.CancelledError):
            assert await request == ""
        assert await page(application, "here") == str(blocked.thread.ident)


async def test_a_call_that_is_cancelled_before_its_turn_does_not_run() -> None:
    blocked, ran = Blocked(), []
    thread = threads.RequestThread()
    first = asyncio.ensure_future(thread.submit(blocked, None))
    second = asyncio.ensure_future(thread.submit(ran.append, 1))
    await asyncio.to_thread(blocked.entered.wait, WAIT_S)
    second.cancel()
    blocked.go_on.set()
    await first
    await until_async(lambda: not thread.busy, "an idle thread")
    thread.shutdown()
    assert not ran


async def test_no_more_threads_are_kept_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "KEPT_THREADS", 2)
    barrier = threading.Barrier(12)

    def together(request: Any) -> HttpResponse:
        barrier.wait(WAIT_S)
        return HttpResponse("together")

    with serving(together) as application:
        assert await asyncio.gather(*(page(application, "together") for _ in range(12))) == ["together"] * 12
    kept = max(len(threads._idle), 2)  # those of other tests
    assert kept < 12
    await until_async(lambda: request_threads() <= kept, "the end of the other threads")


async def test_what_a_request_leaves_in_locals_is_not_there_for_the_next() -> None:
    local, variable = Local(), ContextVar[str]("variable")
    names: list[int] = []

    def sets(request: Any) -> HttpResponse:
        left = f"{getattr(local, 'x', None)} {variable.get('')} {get_urlconf()}"
        local.x = "local"
        variable.set("variable")
        set_urlconf("another.urls")
        names.append(threading.get_ident())
        return HttpResponse(left)

    with serving(sets) as application:
        assert [await page(application, "sets") for _ in range(2)] == ["None  None"] * 2
    assert len(set(names)) == 1


@pytest.mark.parametrize("error", [ValueError("the view's"), StopIteration()])
async def test_an_error_of_a_view_is_a_page_and_its_thread_goes_on(error: Exception) -> None:
    used: list[int] = []

    def fails(request: Any) -> HttpResponse:
        used.append(threading.get_ident())
        raise error

    with serving(fails) as application:
        for _ in range(2):
            assert "500" in await page(application, "fails")
    assert len(set(used)) == 1


def test_a_thread_outlives_the_event_loop() -> None:
    with serving(here) as application:
        assert asyncio.run(page(application, "here")) == asyncio.run(page(application, "here"))


def test_a_loop_that_ends_during_a_call_leaves_the_thread_alone() -> None:
    blocked, thread = Blocked(), threads.RequestThread()

    async def leave() -> None:
        thread.submit(blocked, None)
        await asyncio.to_thread(blocked.entered.wait, WAIT_S)

    asyncio.run(leave())
    blocked.go_on.set()

    async def again() -> str:
        await until_async(lambda: not thread.busy, "an idle thread")
        return (await thread.submit(here)).content.decode()

    assert blocked.thread and asyncio.run(again()) == str(blocked.thread.ident)
    thread.shutdown()


async def test_a_request_is_gone_when_it_is_answered() -> None:
    seen: list[weakref.ref[Any]] = []
    users: list[Any] = []

    def view(request: Any) -> HttpResponse:
        seen.append(weakref.ref(request))
        users.append(request.user)
        return HttpResponse("view")

    stack = (
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    )
    gc.disable()
    try:
        with serving(view, here, middleware=stack) as application:
            await page(application, "view")
            await page(application, "here")
            assert seen[0]() is None, gc.get_referrers(seen[0]())
    finally:
        gc.enable()
    assert not users[0].is_authenticated  # who it is can be asked for afterwards
