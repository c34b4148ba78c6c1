"""Django's templates: those of the subset, and of the real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.shim.made_templates import FILES, TAGS, made
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


PAGES = """
import json, pathlib
from django.conf import settings
settings.configure(TEMPLATES=[{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [pathlib.Path.cwd()],
    "OPTIONS": {"builtins": ["tags"]},
}])
import django
django.setup()
from django.template import Context, Template
values = {"a": "<A>", "l": ["1", "2", "3"], "none": [], "pairs": [("p", "q"), ("r", "s")], "z": "Z"}
sources = json.loads(pathlib.Path("sources.json").read_text())
values["template"] = Template("{{ a }}")

def page(source, escaped):
    return Template(source).render(Context(dict(values), autoescape=escaped))

print(json.dumps([[page(source, True), page(source, False)] for source in sources]))
"""


def pages(folder: Path, files: dict[str, str]) -> list[list[list[str]]]:
    """What the subset, and then Django, makes of the templates in ``sources.json``: with values escaped, and
    then not.
    """
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [json.loads(run_code(environment(name), PAGES, folder)) for name in ("bare", "django")]


SEEDS = [range(first, first + 50) for first in range(0, 400, 50)]


@pytest.mark.parametrize(
    "seeds", [SEEDS[0], *(pytest.param(more, marks=pytest.mark.slow) for more in SEEDS[1:])]
)
def test_variables_live_as_long_as_in_django(tmp_path: Path, seeds: range) -> None:
    sources = made(seeds)
    files = {**FILES, "tags.py": TAGS, "sources.json": json.dumps(sources)}
    here, there = pages(tmp_path, files)
    differing = [case for case in zip(sources, here, there, strict=True) if case[1] != case[2]]
    assert not differing, min(differing, key=lambda case: len(case[0]))


RETURNS = """
import datetime
from django import template
from django.utils.safestring import mark_safe

register = template.Library()

class Html:
    def __html__(self):
        return "<i>"

VALUES = [
    datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.timezone.utc), datetime.date(2026, 1, 2), 1234.5,
    None, "<", mark_safe("<b>"), Html(),
]

@register.simple_tag
def value(index):
    return VALUES[index]

@register.simple_tag(takes_context=True)
def pushes(context):
    with context.push():
        context["x"] = "<mine>"
        return context["x"]

@register.inclusion_tag("card.html", takes_context=True)
def card(context):
    context["x"] = "of the card"
    return context
"""


def test_what_tags_of_a_project_show(tmp_path: Path) -> None:
    shown = "".join(f"{{% value {index} %}} " for index in range(7))
    sources = [
        f"{{% autoescape on %}}{shown}{{% endautoescape %}}",
        "{% value 2 as x %}{{ x }} {% value 4 as x %}{{ x }} {% value 6 as x %}{% if x %}y{% endif %}",
        "{% autoescape off %}{% value 4 %}{% value 5 %}{% endautoescape %}",
        "{% pushes %}{{ x }}",
        "{{ x }}{% card %}",
    ]
    files = {"card.html": "<{{ x }}>", "tags.py": RETURNS, "sources.json": json.dumps(sources)}
    here, there = pages(tmp_path, files)
    assert here == there


def test_a_context_says_whether_values_are_escaped(tmp_path: Path) -> None:
    shown = "{% include 'card.html' %}{% include template %}{% card %}"
    sources = [
        "{{ a }}{{ a|upper }}{{ a|linebreaks }}{% autoescape on %}{{ a }}{% endautoescape %}",
        shown,
        f"{{% autoescape off %}}{shown}{{% endautoescape %}}{{{{ a }}}}",
        f"{{% autoescape on %}}{shown}{{% endautoescape %}}{{{{ a }}}}",
        "{% extends 'parent.html' %}{% block x %}{{ a }}{{ block.super }}{% endblock %}",
    ]
    files = {
        "card.html": "({{ a }}{{ x }})",
        "parent.html": "{{ a }}{% block x %}{{ a }}{% endblock %}",
        "tags.py": RETURNS.replace('"of the card"', "context.autoescape"),
        "sources.json": json.dumps(sources),
    }
    here, there = pages(tmp_path, files)
    assert here == there
    assert here[0][0] != here[0][1]
