"""Tags in Django's templates: those of the subset, and of the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shim.running import run_code
from tests.support.environments import environment

CODE = """
import asyncio
from django.conf import settings
settings.configure(
    SECRET_KEY="a key",
    INSTALLED_APPS=["channels"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    CHANNEL_LAYERS={"default": {
        "BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"history": {"chat_*": {}}},
    }},
)
import django
django.setup()
from channels.layers import get_channel_layer
asyncio.run(get_channel_layer().group_send("chat_x", {"type": "chat.message", "n": 1}))
from django.template import Context, Template
page = Template("{% load channels_history %}{% channels_ticket 'chat_x' 'chat_y' %}")
text = page.render(Context())
from compat import tickets
ticket, _ = tickets.read(text)
print(ticket.is_of_page, [cursor.offset for cursor in ticket.cursors])
"""


@pytest.mark.parametrize("name", ["bare", "django"])
def test_the_ticket_of_a_page(tmp_path: Path, name: str) -> None:
    assert run_code(environment(name), CODE, tmp_path).strip() == "True [1, 0]"
