from django.shortcuts import redirect, render
from django.urls import reverse

from . import rooms


def lobby(request):
    """Pick a name and a room; see which rooms have people in them."""
    return lobby_page(request)


def enter(request):
    """Where the lobby's form leads: on to the room, or back with a word on what is wrong with its name."""
    wanted = rooms.tidy(request.GET.get("room", ""))
    problem = rooms.problem_with(wanted)
    if problem:
        return lobby_page(request, wanted, problem, status=400)
    return redirect("room", room=wanted)


def room(request, room):
    wanted = rooms.tidy(room)
    problem = rooms.problem_with(wanted)
    if problem:
        return lobby_page(request, wanted, problem, status=404)
    if wanted != room:
        return redirect("room", room=wanted)
    page = {**sockets(), "room": room, "socket": f"/ws/rooms/{room}/"}
    return render(request, "chat/room.html", {"room": room, "page": page, "max_name": rooms.MAX_NAME})


def lobby_page(request, room="", problem=None, status=200):
    context = {
        "page": sockets(),
        "room": room,
        "problem": problem,
        "suggestion": rooms.suggest(room) if problem else "",
        "rule": rooms.RULE,
        "max_name": rooms.MAX_NAME,
        "max_room": rooms.MAX_ROOM,
    }
    return render(request, "chat/lobby.html", context, status=status)


def sockets():
    """What the scripts of every page need to know."""
    return {"lobbySocket": "/ws/lobby/", "enter": reverse("enter")}
