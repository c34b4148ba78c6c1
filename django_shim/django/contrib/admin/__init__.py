"""A place for the admin: ``admin.site.urls``, whose pages say that the admin is not here."""

from __future__ import annotations

from .sites import AdminSite, site

__all__ = ["AdminSite", "site"]
