from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [path("", include("chat.urls"))]
# For an ASGI server with DEBUG on; manage.py runserver serves static files itself.
urlpatterns += staticfiles_urlpatterns()
