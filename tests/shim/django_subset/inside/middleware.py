"""Middleware in every style that people write."""

from __future__ import annotations

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.utils.deprecation import MiddlewareMixin


def note(response, name):
    response["X-Trace"] = f"{response.get('X-Trace', '')}{name} "
    return response


def function_style(get_response):
    def middleware(request):
        request.seen = "function"
        return note(get_response(request), "function")

    return middleware


class ClassStyle:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return note(self.get_response(request), "class")

    def process_view(self, request, view, args, kwargs):
        if request.path == "/by-process-view/":
            return HttpResponse(f"process_view for {view.__name__} {kwargs}")
        return None

    def process_exception(self, request, exception):
        if isinstance(exception, LookupError):
            return HttpResponse(f"process_exception: {exception}", status=418)
        return None


class MixinStyle(MiddlewareMixin):
    def process_request(self, request):
        if request.path == "/by-process-request/":
            return HttpResponse("process_request")
        return None

    def process_response(self, request, response):
        return note(response, "mixin")


class AsyncStyle:
    sync_capable = False
    async_capable = True

    def __init__(self, get_response):
        assert iscoroutinefunction(get_response)
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request):
        return note(await self.get_response(request), "async")


def both(get_response):
    assert iscoroutinefunction(get_response)

    async def middleware(request):
        return note(await get_response(request), "both")

    return middleware


both.sync_capable = both.async_capable = True


class Unused:
    def __init__(self, get_response):
        raise MiddlewareNotUsed("not today")


def failing(get_response):
    def middleware(request):
        if request.path == "/middleware-fails/":
            raise RuntimeError("middleware is broken")
        return get_response(request)

    return middleware


def forgetful(get_response):
    def middleware(request):
        get_response(request)

    return middleware


class Frames(XFrameOptionsMiddleware):
    """The subset's own, with what a project adds."""

    def process_request(self, request):
        return HttpResponse("frames") if request.path == "/by-frames/" else None

    def process_response(self, request, response):
        return note(super().process_response(request, response), "frames")


class Fails(CommonMiddleware):
    def process_request(self, request):
        if request.path == "/request-hook-fails/":
            raise LookupError("request")
        return super().process_request(request)

    def process_response(self, request, response):
        if request.path == "/response-hook-fails/":
            raise LookupError("response")
        if request.path == "/response-hook-forgets/":
            return None
        return note(super().process_response(request, response), "fails")


class Around(XFrameOptionsMiddleware):
    """Does something around its hooks, too."""

    async def __acall__(self, request):
        return note(await super().__acall__(request), "around")
