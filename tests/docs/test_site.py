"""The site as it is built: no warning, links that lead somewhere, and nothing from other hosts."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tests.docs.site import Site


def test_every_link_leads_somewhere(site: Site) -> None:
    broken = {name: found for name in site.pages if name != "404.html" and (found := site.broken(name))}
    assert broken == {}


def test_links_to_other_hosts_are_well_formed(site: Site) -> None:
    for name, page in site.pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme and parts.scheme != "mailto":
                local = parts.hostname in ("127.0.0.1", "localhost")
                assert parts.scheme == "https" or local, f"{name}: {link}"
                assert (parts.hostname and "." in parts.hostname) or local, f"{name}: {link}"


def test_nothing_is_loaded_from_other_hosts(site: Site) -> None:
    for name, page in site.pages.items():
        assert [load for load in page.loads if urlsplit(load).netloc] == [], name
    for path in site.folder.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]+)", path.read_text("utf-8"))
        assert found == [], path


def test_every_page_is_in_the_search(site: Site) -> None:
    index = (site.folder / "search" / "search_index.json").read_text("utf-8")
    for page in ("start.html", "howto/nginx.html", "reference/layers.html", "differences.html"):
        assert f'"location":"{page}' in index


def test_the_reference_has_the_docstrings(site: Site) -> None:
    for name, anchor in (
        ("consumers", "compat.generic.websocket.AsyncWebsocketConsumer.accept"),
        ("layers", "compat.layers.redis.core.RedisChannelLayer.group_send"),
        ("routing", "compat.routing.URLRouter"),
        ("testing", "compat.testing.application.ApplicationCommunicator.receive_nothing"),
        ("typed", "compat.typed.topics.Topic"),
        ("typed", "compat.typed.config.config"),
        ("manager", "compat.manager.ConnectionManager"),
        ("manager", "compat.manager.current.get_manager"),
        ("manager", "compat.manager.serializers.JSONSerializer"),
        ("manager", "compat.manager.utils.BatchProcessor"),
        ("fastapi", "compat.fastapi.add_exception_handlers"),
        ("shim", "django_shim.mount"),
    ):
        assert anchor in site.pages[f"reference/{name}.html"].anchors
