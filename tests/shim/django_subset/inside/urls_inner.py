from django.urls import path, re_path


def v(request, *a, **k):
    pass


app_name = "poll"
urlpatterns = [
    path("", v, name="index"),
    path("<int:pk>/", v, name="detail"),
    path("<int:pk>/edit/", v, name="detail", kwargs={"edit": True}),
    re_path(r"^(?P<slug>[-\w]+)/x$", v, name="slug"),
]
