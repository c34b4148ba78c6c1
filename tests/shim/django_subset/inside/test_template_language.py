"""The template language, against what Django makes of the same templates, and by properties."""

from __future__ import annotations

import html

import pytest
from django.template import Context, Engine, Template, TemplateSyntaxError
from django.template.lexer import Kind, tokenize
from django.template.parser import parse
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import smart_split
from hypothesis import given
from hypothesis import strategies as st

from tests.shim.django_subset.inside.template_table import CASES


def rendered(source: str, **context: object) -> str:
    return Template(source).render(Context(context))


@pytest.mark.parametrize(("source", "context", "page"), CASES)
def test_the_page_is_the_one_that_django_makes(source: str, context: dict[str, object], page: str) -> None:
    assert Template(source).render(Context(dict(context))) == page


def test_a_loop_that_sets_nothing_keeps_nothing() -> None:
    environment = Engine().environment

    def code(source: str) -> str:
        return str(environment.compile(parse(source, None, environment), raw=True))

    assert "_kept" not in code("{% for x in l %}{% with y=x %}{{ y }}{% endwith %}{% endfor %}")
    assert "_kept" in code("{% for x in l %}{% static x as y %}{% endfor %}")


def test_a_condition_that_is_a_filter_alone_fails_as_the_filter_does() -> None:
    with pytest.raises(TypeError):
        rendered("{% if 1|first %}y{% endif %}")


NO_TAGS = st.text().filter(lambda text: not any(start in text for start in ("{{", "{%", "{#")))


@given(NO_TAGS)
def test_text_without_tags_comes_out_as_it_went_in(text: str) -> None:
    assert rendered(text) == text


@given(st.text())
def test_tokens_are_the_source_cut_into_pieces(source: str) -> None:
    tokens = list(tokenize(source))
    assert "".join(token.source for token in tokens) == source
    assert all(token.line == 1 + source[: source.index(token.source)].count("\n") for token in tokens[:1])


@given(st.lists(st.sampled_from(["{{ x }}", "{% if x %}", "\n", "a", "{# c\n #}", "{{\n}}", "{#c#}"])))
def test_tokens_know_their_line(pieces: list[str]) -> None:
    source, position = "".join(pieces), 0
    for token in tokenize(source):
        assert token.line == 1 + source[:position].count("\n")
        position += len(token.source)


@given(st.text())
def test_values_are_escaped_as_html(value: str) -> None:
    assert rendered("{{ x }}", x=value) == html.escape(value)


@given(st.text(), st.text())
def test_what_is_shown_cannot_open_a_tag_or_leave_an_attribute(before: str, value: str) -> None:
    page = rendered('<a title="{{ a }}{{ b|lower }}{{ c|linebreaksbr }}">', a=before, b=value, c=value)
    inside = page.removeprefix('<a title="').removesuffix('">').replace("<br>", "")
    assert not set("<>\"'") & set(inside)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_script_can_be_read_back_and_not_be_left(value: object) -> None:
    import json

    page = rendered('{{ x|json_script:"id" }}', x=value)
    body = page.removeprefix('<script id="id" type="application/json">').removesuffix("</script>")
    assert not set("<>&") & set(body)
    assert json.loads(body) == value


def test_verbatim_and_comments_leave_no_trace() -> None:
    kinds = [token.kind for token in tokenize("{% verbatim %}{{ x }}{% if %}{% endverbatim %}{# c #}")]
    assert kinds == [Kind.TAG, Kind.TEXT, Kind.TEXT, Kind.TAG, Kind.COMMENT]


def test_words_keep_quotes_together() -> None:
    assert list(smart_split("""a "b c" 'd e'|f:"g h" _("i j") k='l m' don't""")) == [
        "a",
        '"b c"',
        """'d e'|f:"g h\"""",
        '_("i j")',
        "k='l m'",
        "don't",
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% nonsense %}", "there is no template tag 'nonsense'"),
        ("{{ x|nonsense }}", "there is no template filter 'nonsense'"),
        ("{% nonsense %}", "pip install django"),
        ("{{ x|nonsense }}", "pip install django"),
        ("{% querystring a=1 %}", "the template tag 'querystring' needs the real Django"),
        ("{{ x|urlize }}", "the template filter 'urlize' needs the real Django"),
        ("{% translate 'a' %}", "the template tag 'translate' needs the real Django"),
        ("{{ x|timesince }}", "the template filter 'timesince' needs the real Django"),
        ("{% load i18n %}", "the template library 'i18n' needs the real Django"),
        ("{% load humanize %}", "the template library 'humanize' needs the real Django"),
        ("{% load nonsense %}", "there is no template library 'nonsense'. There are: channels_history"),
        ("{% load nonsense from room_tags %}", "has neither a tag nor a filter 'nonsense'"),
        (
            "a\n\n{% if x %}\nb",
            "<template>, line 3: 'if' is not closed: there is no elif or else or endif below",
        ),
        ("\n{{ x y }}", "line 2: ' y' is left over of 'x y'"),
        ("{{ _x }}", "begins with an underscore is private"),
        ("{% endif %}", "'endif' ends or divides a block that is not open here"),
        ("{% for x y in z %}{% endfor %}", "need commas between them"),
        ("{% for x %}{% endfor %}", "'for' is written"),
        ("{% if a and %}{% endif %}", "the condition ends too early"),
        ("{% if and a %}{% endif %}", "'and' stands where a value should"),
        ("{% if a b %}{% endif %}", "no operator in front of 'b'"),
        ("{% if %}{% endif %}", "no condition"),
        ("{{ x|default: y }}", "has a colon and no argument"),
        ("{{ }}", "nothing between {{ and }}"),
        ("{% %}", "nothing between {% and %}"),
        ("{{ x..y }}", "a dot too many"),
        ("{% with %}{% endwith %}", "'with' is written"),
        ("{% with a %}{% endwith %}", "not 'a'"),
        ("{% include %}", "needs the name of a template"),
        ("{% include 'a' b %}", "is written"),
        ("{% include 'a' with b %}", "expected name=value"),
        ("{% extends %}", "'extends' takes one argument"),
        ("{{ x }}{% extends 'base.html' %}", "comes before all other tags"),
        ("{% extends 'base.html' %}{% extends 'base.html' %}", "not two"),
        ("{% block a %}{% endblock %}{% block a %}{% endblock %}", "two blocks named 'a'"),
        ("{% block a %}{% endblock b %}", "ends the block 'a'"),
        ("{% block %}{% endblock %}", "needs a name"),
        ("{% url %}", "needs the name of a URL pattern"),
        ("{% static %}", "the path of a file"),
        ("{% autoescape maybe %}{% endautoescape %}", "'autoescape' is on or off"),
        ("{% comment %}", "is not closed"),
        ("{% load room_tags %}{% shout %}", "'shout': missing a required argument: 'text'"),
        ("{% load room_tags %}{% shout 'a' nope=1 %}", "unexpected keyword argument 'nope'"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_the_cure(source: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        Template(source)
    assert message in str(caught.value)
    assert str(caught.value).startswith("<template>, line ")


def test_a_tag_of_a_library_that_was_not_loaded_names_the_library() -> None:
    Template("{% load room_tags %}{% shout 'a' %}")
    with pytest.raises(TemplateSyntaxError, match=r"write \{% load room_tags %\} first"):
        Template("{% shout 'a' %}")


def test_a_page_is_safe_and_templates_can_be_shown_in_templates() -> None:
    page = rendered("<b>{{ x }}</b>", x="&")
    assert isinstance(page, SafeString)
    assert rendered("{{ page }}", page=page) == "<b>&amp;</b>"


def test_safe_strings() -> None:
    assert isinstance(mark_safe("a") + mark_safe("b"), SafeString)
    assert not isinstance(mark_safe("a") + "b", SafeString)
    assert mark_safe(mark_safe("a")) == "a"


def test_jinja_markup_counts_as_html() -> None:
    from markupsafe import Markup

    assert rendered("{{ x }}{{ x|lower }}", x=Markup("<B>")) == "<B><b>"
