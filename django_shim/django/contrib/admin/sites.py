"""``admin.site``, whose pages say why there is no admin: 501."""

from __future__ import annotations

import logging
from typing import Any

from ...http import HttpRequest, HttpResponse
from ...unserved import lacks
from ...urls import path, re_path
from ...utils.log import one_line

__all__ = ["AdminSite", "all_sites", "site"]

logger = logging.getLogger("django.request")

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>The admin needs Django</title></head>
<body style="font: 16px/1.5 sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem">
<h1>The admin needs Django</h1>
<p>Django is not installed here. channels-compat brings the part of it that a Channels project cannot do
without: pages, URLs, templates and settings. The admin shows models, and models need Django and its
database.</p>
<p>Install it, make its tables, and start the server again:</p>
<pre>pip install django
python manage.py migrate</pre>
<p>Nothing in the project has to change. The other pages and all websockets work as they are.</p>
</body>
</html>
"""


class AdminSite:
    """Takes registrations and keeps none. ``urls`` is a 3-tuple, the second argument of a ``path()``."""

    site_title: Any = "Django site admin"
    site_header: Any = "Django administration"
    index_title: Any = "Site administration"
    site_url: Any = "/"
    enable_nav_sidebar = True

    __getattr__ = lacks(
        "django.contrib.admin.AdminSite",
        "actions add_action admin_view disable_action get_action get_app_list get_model_admin has_permission "
        "is_registered unregister",
    )

    def __init__(self, name: str = "admin") -> None:
        self.name = name

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Keeps nothing: there are no models."""

    def get_urls(self) -> list[Any]:
        """Return every path of the admin, so that names like ``admin:index`` can be reversed."""
        named = (
            ("index", ""),
            ("login", "login/"),
            ("logout", "logout/"),
            ("password_change", "password_change/"),
        )
        return [
            *(path(route, self.not_here, name=name) for name, route in named),
            re_path(r"^.*$", self.not_here),
        ]

    @property
    def urls(self) -> tuple[list[Any], str, str]:
        """Patterns, app namespace, instance namespace."""
        return self.get_urls(), "admin", self.name

    def not_here(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """501, and what to do."""
        logger.warning(
            "Not Implemented: %s: the admin needs the real Django (pip install django)",
            one_line(request.path),
        )
        response = HttpResponse(_PAGE, status=501)
        response._has_been_logged = True  # type: ignore[attr-defined]  # one record, and this one says more
        return response


site = AdminSite()
all_sites = [site]
