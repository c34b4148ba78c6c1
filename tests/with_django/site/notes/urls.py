"""The page, login and logout, the admin."""

from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.shortcuts import render
from django.urls import path


@login_required
def page(request):
    return render(request, "notes.html")


urlpatterns = [
    path("", page),
    path("accounts/login/", LoginView.as_view(template_name="login.html")),
    path("accounts/logout/", LogoutView.as_view()),
    path("admin/", admin.site.urls),
]
