from django.http import HttpResponse
from django.shortcuts import render


def index(request):
    return render(request, "rooms/index.html", {"rooms": ["lobby", "attic"]})


def detail(request, room):
    return HttpResponse(f"room {room} in {request.resolver_match.view_name}")
