from django.urls import path

from . import views

urlpatterns = [
    path("", views.lobby, name="lobby"),
    path("rooms/", views.enter, name="enter"),
    path("rooms/<str:room>/", views.room, name="room"),
]
