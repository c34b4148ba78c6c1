import io
import threading

from django.contrib import messages
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import (
    FileResponse,
    Http404,
    HttpResponse,
    HttpResponseNotFound,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View


def home(request):
    return HttpResponse("home")


def hello(request, name):
    return HttpResponse(f"hello {name}")


async def async_view(request, number):
    return HttpResponse(f"async {number + 1} in {threading.current_thread().name}")


def thread_name(request):
    return HttpResponse(threading.current_thread().name)


def as_json(request):
    return JsonResponse({"method": request.method, "q": request.GET.getlist("q")})


def form(request):
    if request.method == "POST":
        return HttpResponse(f"posted {request.POST['text']}")
    return render(request, "form.html")


@csrf_exempt
def exempt(request):
    return HttpResponse(f"exempt {request.method}")


@csrf_exempt
def upload(request):
    files = {
        name: [
            [f.name, f.size, f.content_type, f.read().decode("latin1")] for f in request.FILES.getlist(name)
        ]
        for name in request.FILES
    }
    return JsonResponse({"fields": dict(request.POST.lists()), "files": files})


@csrf_exempt
def echo(request):
    return HttpResponse(request.body, content_type="application/octet-stream")


def stream(request):
    return StreamingHttpResponse(iter(["a", b"b", "é"]), content_type="text/plain; charset=utf-8")


async def async_stream(request):
    async def pieces():
        for piece in ("x", "y"):
            yield piece

    return StreamingHttpResponse(pieces())


def file(request):
    content = io.BytesIO(b"content")
    return FileResponse(content, as_attachment=True, filename="notes é.txt")


def raiser(request, what):
    if what == "404":
        raise Http404("there is no such thing")
    if what == "403":
        raise PermissionDenied("not yours")
    if what == "400":
        raise SuspiciousOperation("odd")
    if what == "own404":
        return HttpResponseNotFound("own")
    if what == "model":
        return get_object_or_404(View, pk=1)
    raise ValueError("a <secret> bug")


def returns_nothing(request):
    pass


def forgot_await(request):
    return async_view(request, 1)


def lookup(request):
    raise KeyError("nobody")


def session(request):
    count = request.session.get("count", 0) + 1
    request.session["count"] = count
    return HttpResponse(str(count))


def whoami(request):
    return HttpResponse(f"{request.user} {request.user.is_authenticated}")


def log_out(request):
    request.session.flush()
    return HttpResponse("bye")


def leave_message(request):
    messages.success(request, "Saved <it>", extra_tags="big")
    messages.debug(request, "not shown")
    return redirect("/messages/")


def show_messages(request):
    return render(request, "messages.html")


def cookies(request):
    response = JsonResponse(dict(request.COOKIES))
    response.set_cookie("colour", "dark blue", max_age=60, httponly=True, samesite="Strict")
    response.delete_cookie("old")
    return response


def headers(request):
    return JsonResponse(
        {
            "host": request.get_host(),
            "x": request.headers.get("x-something"),
            "full": request.get_full_path(),
            "absolute": request.build_absolute_uri(),
            "other": request.build_absolute_uri("/elsewhere/?a=b"),
            "relative": request.build_absolute_uri("below/"),
            "secure": request.is_secure(),
            "type": request.content_type,
            "seen": getattr(request, "seen", None),
            "user_agent": request.META.get("HTTP_USER_AGENT"),
        }
    )


def redirector(request):
    return redirect("hello", name="there")


class Things(View):
    greeting = ""

    def get(self, request):
        return HttpResponse(f"{self.greeting} get")

    def post(self, request):
        return HttpResponse("post")


class AsyncThings(View):
    async def get(self, request):
        return HttpResponse("async get")


def archive(request, year, month="all"):
    return HttpResponse(f"{year} {month}")


def positional(request, number, word):
    return HttpResponse(f"{number} {word}")


def own_404(request, exception):
    return HttpResponse(f"our own 404 for {request.path}", status=404)
