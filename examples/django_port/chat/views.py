from django.shortcuts import redirect, render
from django.urls import reverse

from . import rooms


def lobby(request):
    """Show the lobby: a form for a name and a room, and the rooms with people in them."""
    return lobby_page(request)


def enter(request):
    """Redirect the form of the lobby to the room, or show what is wrong with the room's name."""
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
    page = {**sockets(), "room": room, "socket": f"/ws/rooms/{room}/", "group": rooms.group_of(room)}
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
    """Return the addresses that the scripts of every page need, and the group of everybody."""
    return {"lobbySocket": "/ws/lobby/", "enter": reverse("enter"), "everybody": rooms.EVERYBODY}
