from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [path("", include("chat.urls"))]
# manage.py runserver serves static files by itself; this is for a plain ASGI server with DEBUG on.
urlpatterns += staticfiles_urlpatterns()
