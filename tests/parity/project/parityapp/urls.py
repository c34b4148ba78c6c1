"""Pages: the journal, and one that posts to a group from an ordinary view."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.http import HttpResponse, JsonResponse
from django.urls import path

from parityapp import journal


def read_journal(request, key):
    return JsonResponse({"entries": journal.entries[key]})


def post(request, group):
    async_to_sync(get_channel_layer().group_send)(group, {"type": "room.said", "text": "from a view"})
    return HttpResponse("posted")


urlpatterns = [
    path("journal/<str:key>/", read_journal),
    path("post/<str:group>/", post),
]
