"""Templates as files: inheritance, inclusion, libraries, context, errors."""

from __future__ import annotations

import time
import traceback
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, Library, RequestContext, Template, TemplateDoesNotExist, engines
from django.template.exceptions import TemplateSyntaxError, VariableDoesNotExist
from django.template.loader import get_template, render_to_string, select_template
from django.test import RequestFactory, override_settings

DJANGO = "django.template.backends.django.DjangoTemplates"

FILES = {
    "base.html": (
        "<t>{% block title %}Base{% endblock %}</t>{% block extra-head %}EH{% endblock extra-head %}"
        "{% for x in xs %}{% block item %}({{ x }}:{{ forloop.counter }}){% endblock %}{% endfor %}"
        "{% block content %}{% block inner %}in{% endblock %}{% endblock %}{{ tail }}"
    ),
    "mid.html": (
        "{% extends 'base.html' %}{% block title %}{{ block.super }}-Mid{% endblock %} ignored "
        "{% block content %}[{{ block.super }}]{% endblock %}"
    ),
    "leaf.html": (
        '{% extends "mid.html" %}{% load static %}{% block title %}{{ block.super }}-Leaf{{ x }}{% '
        "endblock %}"
        "{% block inner %}LEAF{% endblock %}{% block extra-head %}{{ block.super }}+{% endblock %}"
        "{% block nowhere %}never{% endblock %}"
    ),
    "item.html": "{% extends 'base.html' %}{% block item %}<{{ x }}{{ block.super }}>{% endblock %}",
    "cond.html": "{% extends 'base.html' %}{% if flag %}{% block title %}COND{% endblock %}{% endif %}",
    "var.html": "{% extends parent %}{% block title %}V{% endblock %}",
    "inc.html": "{{ a }}|{{ b }}|{{ x }}|{{ forloop.counter }}",
    "useinc.html": (
        "{% include 'inc.html' %} / {% include 'inc.html' with a=1 b=x|upper %} / {% include 'inc.html' "
        "with a=2 only %} / {% for x in xs %}{% include 'inc.html' with b=x %};{% endfor %} / {% include "
        "name %} / {% with a='<' %}{% include 'inc.html' %}{% endwith %}"
    ),
    "inclist.html": "{% include names %}",
    "sub/rel.html": "{% extends './relbase.html' %}{% block a %}{% include '../inc.html' %}{% endblock %}",
    "sub/relbase.html": "R[{% block a %}{% endblock %}]",
    "autoblk.html": (
        "{% autoescape off %}{% block a %}{{ h }}{% endblock %}{% endautoescape %}{% block b %}{{ h }}{% "
        "endblock %}"
    ),
    "autochild.html": (
        "{% extends 'autoblk.html' %}{% block b %}{% autoescape off %}{{ h }}{% endautoescape %}"
        "{{ block.super }}{% endblock %}"
    ),
    "autoaround.html": (
        "{% extends 'autoblk.html' %}{% autoescape off %}{% block b %}{{ h }}{% include 'inc.html' with a=h "
        "only %}{% block c %}{{ h|upper }}{% endblock %}{% endblock %}{% endautoescape %}"
    ),
    "autowithin.html": (
        "{% extends 'autoblk.html' %}{% block b %}{% autoescape off %}{% block c %}{{ h }}{% endblock %}"
        "{% endautoescape %}{% endblock %}"
    ),
    "withblk.html": "{% with v=1 %}{% block a %}{{ v }}{% endblock %}{% endwith %}",
    "withchild.html": "{% extends 'withblk.html' %}{% block a %}c{{ v }}{{ block.super }}{% endblock %}",
    "rec.html": "{{ n.v }}{% for n in n.c %}{% include 'rec.html' %}{% endfor %}",
    "superfor.html": (
        "{% extends 'base.html' %}{% block title %}{% for i in xs %}{{ block.super }}{{ i }}{% endfor %}"
        "{% with z=block.super %}{{ z }}{% endwith %}{% endblock %}"
    ),
    "comment.html": "<!-- first -->{% extends 'sub/relbase.html' %}{% block a %}x{% endblock %}",
    "orphan.html": "{% block a %}[{{ block.super }}]{% endblock %}",
}
CONTEXT = {
    "xs": [1, 2],
    "x": "<x>",
    "parent": "mid.html",
    "name": "inc.html",
    "names": ["nope.html", "inc.html"],
    "h": "<h>",
    "flag": False,
    "tail": "&",
    "n": {"v": 1, "c": [{"v": 2, "c": [{"v": 3, "c": []}]}, {"v": 4, "c": []}]},
}
# Recorded from Django 5.2.
PAGES = {
    "base.html": "<t>Base</t>EH(1:1)(2:2)in&amp;",
    "mid.html": "<t>Base-Mid</t>EH(1:1)(2:2)[in]&amp;",
    "leaf.html": "<t>Base-Mid-Leaf&lt;x&gt;</t>EH+(1:1)(2:2)[LEAF]&amp;",
    "item.html": "<t>Base</t>EH<1(1:1)><2(2:2)>in&amp;",
    "cond.html": "<t>COND</t>EH(1:1)(2:2)in&amp;",
    "var.html": "<t>V</t>EH(1:1)(2:2)[in]&amp;",
    "useinc.html": (
        "||&lt;x&gt;| / 1|&lt;X&gt;|&lt;x&gt;| / 2||| / |1|1|1;|2|2|2; / ||&lt;x&gt;| / <||&lt;x&gt;|"
    ),
    "inclist.html": "||&lt;x&gt;|",
    "sub/rel.html": "R[||&lt;x&gt;|]",
    "autochild.html": "<h><h>&lt;h&gt;",
    "autoaround.html": "<h>&lt;h&gt;&lt;h&gt;|||&lt;H&gt;",
    "autowithin.html": "<h><h>",
    "withchild.html": "c11",
    "rec.html": "1234",
    "superfor.html": "<t>Base1Base2Base</t>EH(1:1)(2:2)in&amp;",
    "comment.html": "<!-- first -->R[x]",
    "orphan.html": "[]",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("templates")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def engine(folder: Path, **options: object) -> list[dict[str, object]]:
    return [{"BACKEND": DJANGO, "DIRS": [folder], "OPTIONS": options}]


@pytest.mark.parametrize("name", PAGES)
def test_templates_are_put_together_as_django_does(name: str, folder: Path) -> None:
    with override_settings(TEMPLATES=engine(folder)):
        assert render_to_string(name, CONTEXT) == PAGES[name]


def test_a_template_object_can_be_extended_and_included(folder: Path) -> None:
    with override_settings(TEMPLATES=engine(folder)):
        base = Template("<{% block a %}{% endblock %}>")
        child = Template("{% extends base %}{% block a %}{% include part %}{% endblock %}")
        assert child.render(Context({"base": base, "part": Template("{{ x }}"), "x": 1})) == "<1>"


def test_where_a_missing_template_was_looked_for_is_said(folder: Path) -> None:
    with override_settings(TEMPLATES=engine(folder)):
        with pytest.raises(TemplateDoesNotExist) as caught:
            get_template("gone.html")
    assert str(folder / "gone.html") in str(caught.value)
    with override_settings(TEMPLATES=[]), pytest.raises(TemplateDoesNotExist, match="TEMPLATES is empty"):
        get_template("gone.html")


@pytest.mark.parametrize("source", ["{% extends 'gone.html' %}", "{% include 'gone.html' %}"])
def test_a_template_that_needs_a_missing_one(source: str, folder: Path) -> None:
    (folder / "needs.html").write_text(source, encoding="utf-8")
    with (
        override_settings(TEMPLATES=engine(folder)),
        pytest.raises(TemplateDoesNotExist, match=r"gone\.html"),
    ):
        render_to_string("needs.html")


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "sub/../../secret.txt", "..\\secret.txt"])
def test_no_name_leads_out_of_the_folders(name: str, folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("secret", encoding="utf-8")
    with override_settings(TEMPLATES=engine(folder)), pytest.raises(TemplateDoesNotExist):
        get_template(name)


def test_syntax_errors_name_the_file(folder: Path) -> None:
    (folder / "wrong.html").write_text("a\n{% nonsense %}", encoding="utf-8")
    with override_settings(TEMPLATES=engine(folder)):
        with pytest.raises(TemplateSyntaxError, match=r"^wrong\.html, line 2: there is no template tag"):
            render_to_string("wrong.html")


def test_an_error_while_rendering_has_the_template_line_in_its_traceback(folder: Path) -> None:
    (folder / "fails.html").write_text("a\nb\n{% if x %}{{ x.fails }}{% endif %}\n", encoding="utf-8")

    class Broken:
        def fails(self) -> None:
            raise RuntimeError("inside the model")

    with override_settings(TEMPLATES=engine(folder)):
        with pytest.raises(RuntimeError) as caught:
            render_to_string("fails.html", {"x": Broken()})
    assert f'File "{folder / "fails.html"}", line 3' in "".join(traceback.format_exception(caught.value))


def test_a_property_that_fails_inside_is_an_error_and_not_a_missing_name() -> None:
    class Broken:
        @property
        def name(self) -> str:
            raise AttributeError("inside")

    with pytest.raises(AttributeError, match="inside"):
        Template("{{ x.name }}").render(Context({"x": Broken()}))


def test_a_changed_file_is_read_again_while_debug_is_on(folder: Path) -> None:
    file = folder / "changes.html"
    with override_settings(TEMPLATES=engine(folder), DEBUG=True):
        file.write_text("one", encoding="utf-8")
        assert render_to_string("changes.html") == "one"
        file.write_text("two", encoding="utf-8")
        newer = time.time() + 10
        __import__("os").utime(file, (newer, newer))
        assert render_to_string("changes.html") == "two"
    with override_settings(TEMPLATES=engine(folder), DEBUG=False):
        assert render_to_string("changes.html") == "two"
        file.write_text("three", encoding="utf-8")
        assert render_to_string("changes.html") == "two"


def test_the_first_of_several_names_that_exists(folder: Path) -> None:
    with override_settings(TEMPLATES=engine(folder)):
        assert render_to_string(["gone.html", "orphan.html"]) == "[]"
        with pytest.raises(TemplateDoesNotExist, match=r"gone\.html, away\.html"):
            select_template(["gone.html", "away.html"])
        with pytest.raises(TypeError, match="takes a list of names"):
            select_template("orphan.html")
        with pytest.raises(TemplateDoesNotExist, match="no name was given"):
            select_template([])


def test_string_if_invalid_and_autoescape(folder: Path) -> None:
    with override_settings(TEMPLATES=engine(folder, string_if_invalid="?%s?", autoescape=False)):
        template = Template("{{ a.b }}{{ x }}{% if a %}y{% endif %}")
        assert template.render({"x": "<"}) == "?a.b?<"
        assert template.render(Context({"x": "<"})) == "?a.b?&lt;"


@pytest.mark.parametrize(
    ("source", "page"),
    [
        ("{{ x|pluralize }}", "INV&lt;x&gt;"),
        ("{{ x|yesno }}", "INV&lt;x&gt;"),
        ('{{ x.y|upper|default:"d" }}', "INV&lt;x.y&gt;"),
        ("{{ known.nope|upper|safe }}", "INV&lt;known.nope&gt;"),
        ("{{ known|upper }}", "K"),
        ('{{ "k"|upper }}', "K"),
        ("{% with a=x|upper %}{{ a|lower }}{% endwith %}", "inv&lt;x&gt;"),
        ("{% with a=x %}{{ a|upper }}{% endwith %}", "INV&lt;X&gt;"),
        ("{% if x|yesno %}{{ x|yesno }}{% endif %}", "INV&lt;x&gt;"),
        ('{% if x|default:"a" == "a" %}y{% endif %}', "y"),
        ("{% for a in x|make_list %}{{ a }}{% endfor %}", "None"),
        ("{{ x|default:other }}", "INV&lt;x&gt;"),
        ("{{ x|upper|date:fmt.of }}", "INV&lt;x&gt;"),
        ("{{ known|add:known }}{{ known|add:'l' }}", "kkkl"),
    ],
)
def test_what_string_if_invalid_shows_passes_by_the_filters(folder: Path, source: str, page: str) -> None:
    """As with Django 5.2."""
    with override_settings(TEMPLATES=engine(folder, string_if_invalid="INV<%s>")):
        assert Template(source).render({"known": "k"}) == page


def test_a_filters_argument_that_is_missing_is_an_error_whatever_is_shown_for_others(folder: Path) -> None:
    """As with Django 5.2."""
    with override_settings(TEMPLATES=engine(folder, string_if_invalid="INV<%s>")):
        with pytest.raises(VariableDoesNotExist, match="other"):
            Template("{{ known|default:other }}").render({"known": "k"})


def test_apps_templates_and_the_projects_own_come_with_context_processors() -> None:
    request = RequestFactory().get("/somewhere/")
    page = render_to_string("page.html", {"title": "T", "overridden": "by the view"}, request)
    assert page.strip() == (
        '<!-- a page --><title>T - Site</title><link href="/static/rooms/style.css">'
        '<a href="/hello/a%20b/">Test &amp; Co</a>'
    )
    assert (
        Template("{{ request.path }} {{ user }}").render(RequestContext(request))
        == "/somewhere/ AnonymousUser"
    )
    assert Template("{{ overridden }}").render(RequestContext(request, {"overridden": "mine"})) == "mine"
    assert (
        Template("{{ extra }}").render(RequestContext(request, {}, [lambda r: {"extra": r.method}])) == "GET"
    )
    assert Template("[{{ site_name }}]").render(Context()) == "[]"


def test_libraries_of_the_projects_own() -> None:
    request = RequestFactory().get("/there/")

    def rendered(source: str, **values: object) -> str:
        return Template("{% load room_tags %}" + source).render(RequestContext(request, values))

    assert rendered("{{ x|initial }}{{ x|bold }}{{ 1|plus }}{{ 1|plus:5 }}", x="ann") == "A<b>ann</b>26"
    assert (
        rendered("{{ x|is_escaping }}{% autoescape off %}{{ x|is_escaping }}{% endautoescape %}", x=1)
        == "1:True1:False"
    )
    assert (
        rendered("{% shout 'a' %}{% shout x times=2 %}{% shout 'a' as y %}[{{ y }}]", x="b")
        == "A&lt;BB&lt;[A&lt;]"
    )
    assert rendered("{% who prefix='> ' %}{% tagged 'br' %}") == "&gt; /there/<br>"
    assert rendered("{% room_card x %}{% context_card %}", x="<", title="T").split("\n") == [
        "[&lt; ]",
        "[T Test &amp; Co]",
        "",
    ]
    only = Template("{% load initial bold from room_tags %}{{ 'b'|initial }}").render(Context())
    assert only == "B"
    with pytest.raises(TemplateSyntaxError):
        Template("{% load initial from room_tags %}{% shout 'a' %}")


def test_a_simple_tag_cannot_set_a_variable_by_its_context() -> None:
    with pytest.raises(ImportError, match=r"Setting 'x' .* needs the real Django.* {% tag as x %}"):
        Template("{% load room_tags %}{% remember x %}").render(Context({"x": 1}))


def test_libraries_and_builtins_of_options(folder: Path) -> None:
    path = "tests.shim.django_subset.inside.rooms.templatetags.room_tags"
    with override_settings(TEMPLATES=engine(folder, libraries={"mine": path}, builtins=[path])):
        assert Template("{% load mine %}{{ 'a'|initial }}").render(Context()) == "A"
        assert Template("{{ 'b'|initial }}{% tagged 'i' %}").render(Context()) == "B<i>"


def test_a_tag_that_parses_for_itself_needs_django() -> None:
    register = Library()
    with pytest.raises(ImportError, match=r"Library\.tag .* needs the real Django") as caught:
        register.tag("mine", lambda parser, token: None)
    assert "simple_tag" in str(caught.value)


def test_wrong_templates_settings() -> None:
    with override_settings(TEMPLATES=[{"BACKEND": "django.template.backends.jinja2.Jinja2"}]):
        with pytest.raises(ImproperlyConfigured, match="has one engine"):
            engines.all()
    with override_settings(TEMPLATES=[{"BACKEND": DJANGO, "OPTIONS": {"nonsense": 1}}]):
        with pytest.raises(ImproperlyConfigured, match="unknown OPTIONS: nonsense"):
            engines.all()
    with override_settings(TEMPLATES=[{"BACKEND": DJANGO}, {"BACKEND": DJANGO}]):
        with pytest.raises(ImproperlyConfigured, match="two engines named 'django'"):
            engines.all()


def test_context_is_a_stack() -> None:
    context = Context({"a": 1, "self": 2})
    with context.push(a=3):
        context["b"] = 4
        assert (context["a"], context.get("b"), "b" in context) == (3, 4, True)
    assert (context["a"], "b" in context, context.get("b", "no")) == (1, False, "no")
    with context.update(Context({"c": 5})):
        assert context.flatten()["c"] == 5
    assert context.setdefault("d", 6) == 6
    assert Context({"x": 1}) == Context({"x": 1})
    with pytest.raises(KeyError):
        context["nope"]
    del context["d"]
    context.pop()
    with pytest.raises(IndexError):
        context.pop()


def test_pages_can_be_rendered_in_several_threads_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    template = Template("{% for x in xs %}{{ forloop.first }}{{ x }}{% endfor %}")
    expected = "".join(f"{i == 0}{i}" for i in range(50))
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: template.render(Context({"xs": range(50)})), range(100)))
    assert set(pages) == {expected}
