"""Pages that do with a request what pages do: read the form, render a value, redirect, set a header."""

import time

from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.template import Context, Template
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt, ensure_csrf_cookie


@ensure_csrf_cookie
def index(request):
    return render(request, "attacked/index.html", {"posted": len(request.POST)})


@csrf_exempt
def form(request):
    return JsonResponse(
        {
            "fields": {name: len(values) for name, values in request.POST.lists()},
            "files": {name: [one.size for one in files] for name, files in request.FILES.lists()},
        }
    )


@csrf_exempt
def body(request):
    return JsonResponse({"bytes": len(request.body)})


def query(request):
    return JsonResponse({"fields": len(request.GET), "cookies": len(request.COOKIES)})


FILTERS = {
    "add": "add:1",
    "add_itself": "add:value",
    "center": "center:9",
    "date": "date:'Y-m-d'",
    "divisibleby": "divisibleby:3",
    "filesizeformat": "filesizeformat",
    "floatformat": "floatformat",
    "floatformat_2": "floatformat:2",
    "floatformat_g": "floatformat:'2g'",
    "floatformat_negative": "floatformat:-3",
    "get_digit": "get_digit:2",
    "intcomma": "floatformat:'0g'",
    "join": "make_list|join:'-'",
    "linebreaks": "linebreaks",
    "ljust": "ljust:9",
    "pluralize": "pluralize",
    "slugify": "slugify",
    "stringformat": "stringformat:'d'",
    "striptags": "striptags",
    "timesince": "timesince",
    "title": "title",
    "truncatechars": "truncatechars:9",
    "truncatechars_html": "truncatechars_html:9",
    "truncatewords_html": "truncatewords_html:9",
    "unordered_list": "make_list|unordered_list",
    "urlize": "urlize",
    "urlizetrunc": "urlizetrunc:9",
    "wordwrap": "wordwrap:9",
    "yesno": "yesno:'a,b'",
}


@csrf_exempt
def filtered(request, name):
    value = (request.POST or request.GET).get("value", "")
    template = Template(f"{{{{ value|{FILTERS[name]} }}}}")
    return HttpResponse(template.render(Context({"value": value, "request": request})))


def room(request, name):
    return render(request, "attacked/room.html", {"name": name})


def redirect(request):
    return HttpResponseRedirect(request.GET.get("to", "/"))


def header(request):
    response = HttpResponse("ok")
    response[request.GET.get("name", "X-Answer")] = request.GET.get("value", "")
    return response


def cookie(request):
    response = HttpResponse("ok")
    response.set_cookie(request.GET.get("name", "answer"), request.GET.get("value", ""))
    return response


def session(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


async def stall(request):
    """Block the loop, for the tests of the watch."""
    time.sleep(int(request.GET["ms"]) / 1000)
    return HttpResponse("done")


def slow(request):
    """Take a while, but not the loop's time."""
    time.sleep(min(int(request.GET["ms"]), 300) / 1000)
    return HttpResponse("done")


urlpatterns = [
    path("", index),
    path("form/", form),
    path("body/", body),
    path("query/", query),
    path("filter/<slug:name>/", filtered),
    path("room/<str:name>/", room),
    path("number/<int:name>/", room),
    path("path/<path:name>", room),
    re_path(r"^pattern/(?P<name>[a-z]+)/$", room),
    path("redirect/", redirect),
    path("header/", header),
    path("cookie/", cookie),
    path("session/", session),
    path("slow/", slow),
    path("stall/", stall),
]
