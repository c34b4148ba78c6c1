from django.conf.urls.static import static
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView, TemplateView

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("rooms/", include("tests.shim.django_subset.inside.rooms.urls")),
    path("admin/", admin.site.urls),
    path("hello/<str:name>/", views.hello, name="hello"),
    path("async/<int:number>/", views.async_view, name="async"),
    path("thread/", views.thread_name),
    path("json/", views.as_json),
    path("form/", views.form, name="form"),
    path("exempt/", views.exempt),
    path("upload/", views.upload),
    path("echo/", views.echo),
    path("stream/", views.stream),
    path("async-stream/", views.async_stream),
    path("file/", views.file),
    path("raise/<str:what>/", views.raiser),
    path("none/", views.returns_nothing),
    path("forgot-await/", views.forgot_await),
    path("by-process-view/", views.home),
    path("lookup/", views.lookup),
    path("session/", views.session),
    path("whoami/", views.whoami),
    path("logout/", views.log_out),
    path("message/", views.leave_message),
    path("messages/", views.show_messages),
    path("cookies/", views.cookies),
    path("headers/", views.headers),
    path("redirect/", views.redirector),
    path("generic/", TemplateView.as_view(template_name="page.html", extra_context={"title": "Generic"})),
    path("moved/", RedirectView.as_view(pattern_name="home", permanent=True)),
    path("cbv/", views.Things.as_view(greeting="hi")),
    path("async-cbv/", views.AsyncThings.as_view()),
    re_path(r"^archive/(?P<year>[0-9]{4})/(?:(?P<month>[0-9]{2})/)?$", views.archive, name="archive"),
    re_path(r"^old/(\d+)/(\w+)/$", views.positional, name="old"),
    *static("/media/", document_root="/nowhere"),
]

handler404 = "tests.shim.django_subset.inside.views.own_404"
