"""What Django 5.2 makes of these templates, recorded: template, context, page."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

__all__ = ["CASES"]

UTC = datetime.timezone.utc
DT = datetime.datetime(2026, 11, 20, 15, 4, 5, 678901, tzinfo=UTC)
D = datetime.date(2026, 3, 1)
T = datetime.time(0, 30)
Decimal = decimal.Decimal


class Room:
    name = "lobby"
    size = 3

    def members(self) -> list[str]:
        return ["ann", "bob"]

    def kick(self, who: str) -> str:
        return "kicked"

    def delete(self) -> str:
        return "deleted"

    delete.alters_data = True  # type: ignore[attr-defined]  # the mark that templates look for

    def __str__(self) -> str:
        return "<Room>"


class Missing(Exception):
    silent_variable_failure = True


class Silent:
    def boom(self) -> None:
        raise Missing


CASES: list[tuple[str, dict[str, Any], str]] = [
    ("plain", {}, "plain"),
    ("a\nb\r\nc\ttrailing  \n\n", {}, "a\nb\r\nc\ttrailing  \n\n"),
    ("{x} $ % # {} }} %} #}", {}, "{x} $ % # {} }} %} #}"),
    ("\\{{ x }}\\n", {"x": 1}, "\\1\\n"),
    ("é ☃ 😀", {}, "é ☃ 😀"),
    ("{# a comment #}b{# c #}", {}, "b"),
    ("{{ x }}{{ y }}", {"x": 1}, "1"),
    ("{{ x }}", {"x": "<b>&\"'</b>"}, "&lt;b&gt;&amp;&quot;&#x27;&lt;/b&gt;"),
    ("{{ x|safe }}", {"x": "<b>"}, "<b>"),
    ("{{ x|escape }}", {"x": "<"}, "&lt;"),
    ("{{ x|escape|escape }}", {"x": "<"}, "&lt;"),
    ("{{ x|safe|escape }}", {"x": "<"}, "<"),
    ('{{ "<b>" }}', {}, "<b>"),
    ('{{ x|default:"<b>" }}', {}, "<b>"),
    ("{{ x|default:y }}", {"y": "<i>"}, "&lt;i&gt;"),
    ("{% autoescape off %}{{ x }}{{ x|escape }}{% endautoescape %}{{ x }}", {"x": "<"}, "<&lt;&lt;"),
    ("{{ x|upper }}", {"x": "<a>"}, "&lt;A&gt;"),
    ("{{ x|safe|upper }}", {"x": "<a>"}, "&lt;A&gt;"),
    ("{{ x|safe|lower }}", {"x": "<A>"}, "<a>"),
    ("{{ r }}", {"r": Room()}, "&lt;Room&gt;"),
    ("{{ x }}", {"x": None}, "None"),
    ("{{ x }}", {"x": True}, "True"),
    ("{{ x }}", {"x": 3.0}, "3.0"),
    ("{{ x }}", {"x": 1234567}, "1234567"),
    ("{{ x }}", {"x": decimal.Decimal("1.50")}, "1.50"),
    ("{{ x }}", {"x": [1, "<"]}, "[1, &#x27;&lt;&#x27;]"),
    ("{{ x }}", {"x": b"ab"}, "b&#x27;ab&#x27;"),
    ("{{ x }}", {"x": {"a": 1}}, "{&#x27;a&#x27;: 1}"),
    (
        '{{ x|json_script:"id" }}',
        {"x": "</script><&>"},
        '<script id="id" type="application/json">"\\u003C/script\\u003E\\u003C\\u0026\\u003E"</script>',
    ),
    (
        '{{ x|json_script:"a<b" }}',
        {"x": {"k": [1, None, True, 1.5, "é\u2028"]}},
        '<script id="a<b" type="application/json">{"k": [1, null, true, 1.5, "\\u00e9\\u2028"]}</script>',
    ),
    (
        "{{ x|json_script }}",
        {
            "x": {
                "d": D,
                "t": DT,
                "u": uuid.UUID(int=5),
                "c": decimal.Decimal("1.10"),
                "s": datetime.timedelta(days=1, seconds=3661),
            }
        },
        (
            '<script type="application/json">{"d": "2026-03-01", "t": "2026-11-20T15:04:05.678Z", "u": '
            '"00000000-0000-0000-0000-000000000005", "c": "1.10", "s": "P1DT01H01M01S"}</script>'
        ),
    ),
    (
        "{{ x|escapejs }}",
        {"x": "a'b\"c\\d<e>f&g=h-i;j\u2028k\n`"},
        "a\\u0027b\\u0022c\\u005Cd\\u003Ce\\u003Ef\\u0026g\\u003Dh\\u002Di\\u003Bj\\u2028k\\u000A\\u0060",
    ),
    (
        "{{ r.name }} {{ r.members }} {{ r.members.0 }} {{ r.members.5 }}",
        {"r": Room()},
        "lobby [&#x27;ann&#x27;, &#x27;bob&#x27;] ann ",
    ),
    ("{{ r.kick }}|{{ r.delete }}|{{ r.nope }}|{{ r.name.nope }}", {"r": Room()}, "|||"),
    (
        "{{ d.a.b }} {{ d.items }} {{ d.keys }}",
        {"d": {"a": {"b": 1}}},
        "1 dict_items([(&#x27;a&#x27;, {&#x27;b&#x27;: 1})]) dict_keys([&#x27;a&#x27;])",
    ),
    ("{{ d.1 }} {{ l.1 }}", {"d": {"1": "one"}, "l": [1, 2]}, "one 2"),
    ("{{ d.1 }}", {"d": {1: "one"}}, "one"),
    ("{{ f }} {{ g }}", {"f": lambda: "called", "g": lambda a: "no"}, "called "),
    ("{{ s.boom }}|", {"s": Silent()}, "|"),
    ('{{ s.boom|default:"x" }}|', {"s": Silent()}, "x|"),
    ("{{ t.upper }}", {"t": "abc"}, "ABC"),
    (
        '{{ True }} {{ False }} {{ None }} {{ 1 }} {{ 1.5 }} {{ -2 }} {{ "a" }} {{ \'b\' }} {{ _("c") }}',
        {},
        "True False None 1 1.5 -2 a b c",
    ),
    ("{{ \"a\\\"b\" }} {{ 'it\\'s' }}", {}, "a\"b it's"),
    (
        "{{ self }} {{ super }} {{ loop }} {{ caller }}",
        {"self": 1, "super": 2, "loop": 3, "caller": 4},
        "1 2 3 4",
    ),
    ("{{ class }} {{ for }} {{ print }} {{ range }}", {"class": 1, "for": 2}, "1 2  "),
    ("{{   x   }}", {"x": 1}, "1"),
    ("{{ x | upper }}", {"x": "a"}, "A"),
    ("{% if x %}y{% endif %}", {}, ""),
    ("{% if x %}y{% else %}n{% endif %}", {"x": []}, "n"),
    ("{% if a %}a{% elif b %}b{% elif c %}c{% else %}d{% endif %}", {"c": 1}, "c"),
    ("{% if not a %}1{% endif %}{% if not not a %}2{% endif %}", {}, "1"),
    ("{% if a or b and c %}y{% else %}n{% endif %}", {"a": 1}, "y"),
    ("{% if a == 1 and b == 'x' %}y{% endif %}", {"a": 1, "b": "x"}, "y"),
    ("{% if a != b %}ne{% endif %}", {"a": 1}, "ne"),
    ("{% if 1 < 2 and 2 >= 2 and 3 > 2 and 1 <= 1 %}ok{% endif %}", {}, "ok"),
    (
        "{% if x in l %}in{% endif %}{% if y not in l %}not in{% endif %}",
        {"x": 1, "y": 9, "l": [1]},
        "innot in",
    ),
    ("{% if 'b' in 'abc' %}s{% endif %}", {}, "s"),
    ("{% if x is None %}none{% endif %}{% if y is not None %}some{% endif %}", {"y": 1}, "nonesome"),
    ("{% if missing == None %}eq{% endif %}", {}, "eq"),
    ("{% if 1 < 'a' %}y{% else %}n{% endif %}", {}, "n"),
    ("{% if 1 in 5 %}y{% else %}n{% endif %}", {}, "n"),
    ("{% if not a == b %}y{% else %}n{% endif %}", {"a": 1, "b": 1}, "n"),
    ("{% if not a in l %}y{% else %}n{% endif %}", {"a": 1, "l": [1]}, "n"),
    ("{% if x|length > 2 %}y{% endif %}", {"x": "abc"}, "y"),
    ("{% if x|default:'q' == 'q' %}y{% endif %}", {}, "y"),
    ("{% if a > b > c %}y{% else %}n{% endif %}", {"a": 3, "b": 2, "c": 0}, "y"),
    ("{% if r.members %}y{% endif %}", {"r": Room()}, "y"),
    ("{% if r.kick %}y{% else %}n{% endif %}", {"r": Room()}, "n"),
    ('{% if "" %}y{% else %}n{% endif %}', {}, "n"),
    ("{% if a and b or c and d %}y{% else %}n{% endif %}", {"c": 1, "d": 1}, "y"),
    ("{% for x in l %}{{ x }},{% endfor %}", {"l": [1, 2, 3]}, "1,2,3,"),
    ("{% for x in l %}{{ x }}{% empty %}none{% endfor %}", {"l": []}, "none"),
    ("{% for x in nope %}{{ x }}{% empty %}none{% endfor %}", {}, "none"),
    ("{% for x in l reversed %}{{ x }}{% endfor %}", {"l": [1, 2]}, "21"),
    ("{% for k, v in d.items %}{{ k }}={{ v }};{% endfor %}", {"d": {"a": 1, "b": 2}}, "a=1;b=2;"),
    ("{% for a,b in l %}{{ a }}-{{ b }} {% endfor %}", {"l": [(1, 2), (3, 4)]}, "1-2 3-4 "),
    ("{% for a , b , c in l %}{{ a }}{{ b }}{{ c }}{% endfor %}", {"l": [(1, 2, 3)]}, "123"),
    (
        (
            "{% for x in l %}{{ forloop.counter }}{{ forloop.counter0 }}{{ forloop.revcounter }}{{ forl"
            "oop.revcounter0 }}{{ forloop.first }}{{ forloop.last }} {% endfor %}"
        ),
        {"l": "abc"},
        "1032TrueFalse 2121FalseFalse 3210FalseTrue ",
    ),
    (
        (
            "{% for x in l %}{% for y in x %}{{ forloop.parentloop.counter }}.{{ forloop.counter }}={{ "
            "y }} {% endfor %}{% endfor %}"
        ),
        {"l": [[1, 2], [3]]},
        "1.1=1 1.2=2 2.1=3 ",
    ),
    ("{% for x in d %}{{ x }}{% endfor %}", {"d": {"a": 1}}, "a"),
    (
        "{% for x in g %}{{ x }}{{ forloop.last }}{% endfor %}",
        {"g": lambda: (i for i in range(2))},
        "0False1True",
    ),
    ("{% for x in l %}{{ x }}{% endfor %}{{ x }}", {"l": [1], "x": "outer"}, "1outer"),
    ("{% for x in 'ab' %}{{ x }}.{% endfor %}", {}, "a.b."),
    (
        (
            "{% for x in l %}{% if forloop.first %}[{% endif %}{{ x }}{% if forloop.last %}]{% else %},"
            "{% endif %}{% endfor %}"
        ),
        {"l": [1, 2]},
        "[1,2]",
    ),
    ("{% for x in None %}a{% empty %}e{% endfor %}", {}, "e"),
    ("{{ forloop.counter }}|{% for x in l %}{{ forloop.parentloop }}{% endfor %}", {"l": [1]}, "|{}"),
    ("{% with a=1 b=x.y %}{{ a }}{{ b }}{% endwith %}{{ a }}", {"x": {"y": "<"}}, "1&lt;"),
    ("{% with x.y as z %}{{ z }}{% endwith %}", {"x": {"y": 2}}, "2"),
    ("{% with x=x|upper %}{{ x }}{% endwith %}{{ x }}", {"x": "a"}, "Aa"),
    ("{% with a=1 %}{% with b=a %}{{ b }}{% endwith %}{% endwith %}", {}, "1"),
    ("{% with a=nope %}[{{ a }}]{% if a is None %}N{% endif %}{% endwith %}", {}, "[]"),
    ("{% verbatim %}{{ x }}{% if %}{# c #}{% endverbatim %}{{ x }}", {"x": 1}, "{{ x }}{% if %}{# c #}1"),
    ("{% verbatim q %}{% endverbatim %}{% endverbatim q %}", {}, "{% endverbatim %}"),
    ('{% comment %}{{ x|nope }}{% foo %}{% endcomment %}a{% comment "why" %}b{% endcomment %}', {}, "a"),
    ("{{ x|addslashes }}", {"x": "hello World"}, "hello World"),
    (
        "{{ x|addslashes }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it\\&#x27;s a \\&quot;test\\&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline",
    ),
    ("{{ x|addslashes }}", {"x": ""}, ""),
    ("{{ x|addslashes }}", {"x": None}, "None"),
    ("{{ x|capfirst }}", {"x": "hello World"}, "Hello World"),
    (
        "{{ x|capfirst }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "It&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline",
    ),
    ("{{ x|capfirst }}", {"x": ""}, ""),
    ("{{ x|capfirst }}", {"x": None}, "None"),
    ("{{ x|lower }}", {"x": "hello World"}, "hello world"),
    (
        "{{ x|lower }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline",
    ),
    ("{{ x|lower }}", {"x": ""}, ""),
    ("{{ x|lower }}", {"x": None}, "none"),
    ("{{ x|upper }}", {"x": "hello World"}, "HELLO WORLD"),
    (
        "{{ x|upper }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "IT&#x27;S A &quot;TEST&quot; &amp; &lt;B&gt;BOLD&lt;/B&gt;\n\nNEW PARA\nLINE",
    ),
    ("{{ x|upper }}", {"x": ""}, ""),
    ("{{ x|upper }}", {"x": None}, "NONE"),
    ("{{ x|title }}", {"x": "hello World"}, "Hello World"),
    (
        "{{ x|title }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "It&#x27;s A &quot;Test&quot; &amp; &lt;B&gt;Bold&lt;/B&gt;\n\nNew Para\nLine",
    ),
    ("{{ x|title }}", {"x": ""}, ""),
    ("{{ x|title }}", {"x": None}, "None"),
    ("{{ x|slugify }}", {"x": "hello World"}, "hello-world"),
    (
        "{{ x|slugify }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "its-a-test-bboldb-new-para-line",
    ),
    ("{{ x|slugify }}", {"x": ""}, ""),
    ("{{ x|slugify }}", {"x": None}, "none"),
    (
        "{{ x|make_list }}",
        {"x": "hello World"},
        (
            "[&#x27;h&#x27;, &#x27;e&#x27;, &#x27;l&#x27;, &#x27;l&#x27;, &#x27;o&#x27;, &#x27; &#x27;,"
            " &#x27;W&#x27;, &#x27;o&#x27;, &#x27;r&#x27;, &#x27;l&#x27;, &#x27;d&#x27;]"
        ),
    ),
    (
        "{{ x|make_list }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        (
            "[&#x27;i&#x27;, &#x27;t&#x27;, &quot;&#x27;&quot;, &#x27;s&#x27;, &#x27; &#x27;, &#x27;a&#"
            "x27;, &#x27; &#x27;, &#x27;&quot;&#x27;, &#x27;t&#x27;, &#x27;e&#x27;, &#x27;s&#x27;, &#x2"
            "7;t&#x27;, &#x27;&quot;&#x27;, &#x27; &#x27;, &#x27;&amp;&#x27;, &#x27; &#x27;, &#x27;&lt;"
            "&#x27;, &#x27;b&#x27;, &#x27;&gt;&#x27;, &#x27;b&#x27;, &#x27;o&#x27;, &#x27;l&#x27;, &#x2"
            "7;d&#x27;, &#x27;&lt;&#x27;, &#x27;/&#x27;, &#x27;b&#x27;, &#x27;&gt;&#x27;, &#x27;\\n&#x27"
            ";, &#x27;\\n&#x27;, &#x27;n&#x27;, &#x27;e&#x27;, &#x27;w&#x27;, &#x27; &#x27;, &#x27;p&#x2"
            "7;, &#x27;a&#x27;, &#x27;r&#x27;, &#x27;a&#x27;, &#x27;\\n&#x27;, &#x27;l&#x27;, &#x27;i&#x"
            "27;, &#x27;n&#x27;, &#x27;e&#x27;]"
        ),
    ),
    ("{{ x|make_list }}", {"x": ""}, "[]"),
    ("{{ x|make_list }}", {"x": None}, "[&#x27;N&#x27;, &#x27;o&#x27;, &#x27;n&#x27;, &#x27;e&#x27;]"),
    ("{{ x|urlencode }}", {"x": "hello World"}, "hello%20World"),
    (
        "{{ x|urlencode }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it%27s%20a%20%22test%22%20%26%20%3Cb%3Ebold%3C/b%3E%0A%0Anew%20para%0Aline",
    ),
    ("{{ x|urlencode }}", {"x": ""}, ""),
    ("{{ x|urlencode }}", {"x": None}, "None"),
    ("{{ x|urlencode:'' }}", {"x": "hello World"}, "hello%20World"),
    (
        "{{ x|urlencode:'' }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it%27s%20a%20%22test%22%20%26%20%3Cb%3Ebold%3C%2Fb%3E%0A%0Anew%20para%0Aline",
    ),
    ("{{ x|urlencode:'' }}", {"x": ""}, ""),
    ("{{ x|urlencode:'' }}", {"x": None}, "None"),
    ("{{ x|striptags }}", {"x": "hello World"}, "hello World"),
    (
        "{{ x|striptags }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; bold\n\nnew para\nline",
    ),
    ("{{ x|striptags }}", {"x": ""}, ""),
    ("{{ x|striptags }}", {"x": None}, "None"),
    ("{{ x|linebreaks }}", {"x": "hello World"}, "<p>hello World</p>"),
    (
        "{{ x|linebreaks }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "<p>it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;</p>\n\n<p>new para<br>line</p>",
    ),
    ("{{ x|linebreaks }}", {"x": ""}, "<p></p>"),
    ("{{ x|linebreaks }}", {"x": None}, "<p>None</p>"),
    ("{{ x|linebreaksbr }}", {"x": "hello World"}, "hello World"),
    (
        "{{ x|linebreaksbr }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;<br><br>new para<br>line",
    ),
    ("{{ x|linebreaksbr }}", {"x": ""}, ""),
    ("{{ x|linebreaksbr }}", {"x": None}, "None"),
    ("{{ x|length }}", {"x": "hello World"}, "11"),
    ("{{ x|length }}", {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'}, "42"),
    ("{{ x|length }}", {"x": ""}, "0"),
    ("{{ x|length }}", {"x": "1"}, "1"),
    ("{{ x|first }}", {"x": "hello World"}, "h"),
    ("{{ x|first }}", {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'}, "i"),
    ("{{ x|first }}", {"x": ""}, ""),
    ("{{ x|first }}", {"x": "1"}, "1"),
    ("{{ x|last }}", {"x": "hello World"}, "d"),
    ("{{ x|last }}", {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'}, "e"),
    ("{{ x|last }}", {"x": ""}, ""),
    ("{{ x|last }}", {"x": "1"}, "1"),
    ("{{ x|join:', ' }}", {"x": "hello World"}, "h, e, l, l, o,  , W, o, r, l, d"),
    (
        "{{ x|join:', ' }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        (
            "i, t, &#x27;, s,  , a,  , &quot;, t, e, s, t, &quot;,  , &amp;,  , &lt;, b, &gt;, b, o, l,"
            " d, &lt;, /, b, &gt;, \n, \n, n, e, w,  , p, a, r, a, \n, l, i, n, e"
        ),
    ),
    ("{{ x|join:', ' }}", {"x": ""}, ""),
    ("{{ x|join:', ' }}", {"x": None}, "None"),
    ("{{ x|join:'<br>' }}", {"x": "hello World"}, "h<br>e<br>l<br>l<br>o<br> <br>W<br>o<br>r<br>l<br>d"),
    (
        "{{ x|join:'<br>' }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        (
            "i<br>t<br>&#x27;<br>s<br> <br>a<br> <br>&quot;<br>t<br>e<br>s<br>t<br>&quot;<br> <br>&amp;"
            "<br> <br>&lt;<br>b<br>&gt;<br>b<br>o<br>l<br>d<br>&lt;<br>/<br>b<br>&gt;<br>\n<br>\n<br>n<br"
            ">e<br>w<br> <br>p<br>a<br>r<br>a<br>\n<br>l<br>i<br>n<br>e"
        ),
    ),
    ("{{ x|join:'<br>' }}", {"x": ""}, ""),
    ("{{ x|join:'<br>' }}", {"x": None}, "None"),
    ("{{ x|center:9 }}", {"x": "hello World"}, "hello World"),
    (
        "{{ x|center:9 }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline",
    ),
    ("{{ x|center:9 }}", {"x": ""}, "         "),
    ("{{ x|center:9 }}", {"x": None}, "   None  "),
    ("{{ x|ljust:8 }}", {"x": "hello World"}, "hello World"),
    (
        "{{ x|ljust:8 }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline",
    ),
    ("{{ x|ljust:8 }}", {"x": ""}, "        "),
    ("{{ x|ljust:8 }}", {"x": None}, "None    "),
    ("{{ x|rjust:8 }}", {"x": "hello World"}, "hello World"),
    (
        "{{ x|rjust:8 }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline",
    ),
    ("{{ x|rjust:8 }}", {"x": ""}, "        "),
    ("{{ x|rjust:8 }}", {"x": None}, "    None"),
    ("{{ x|truncatechars:6 }}", {"x": "hello World"}, "hello…"),
    ("{{ x|truncatechars:6 }}", {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'}, "it&#x27;s …"),
    ("{{ x|truncatechars:6 }}", {"x": ""}, ""),
    ("{{ x|truncatechars:6 }}", {"x": None}, "None"),
    ("{{ x|truncatechars:0 }}", {"x": "hello World"}, ""),
    ("{{ x|truncatechars:1 }}", {"x": "hello World"}, "…"),
    ("{{ x|truncatechars:1 }}", {"x": ""}, ""),
    ("{{ x|truncatechars:1 }}", {"x": 0}, "0"),
    ("{{ x|truncatechars:1 }}", {"x": 1}, "1"),
    ("{{ x|truncatewords:2 }}", {"x": "hello World"}, "hello World"),
    ("{{ x|truncatewords:2 }}", {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'}, "it&#x27;s a …"),
    ("{{ x|truncatewords:2 }}", {"x": ""}, ""),
    ("{{ x|truncatewords:2 }}", {"x": None}, "None"),
    ("{{ x|truncatewords:0 }}", {"x": "hello World"}, ""),
    ("{{ x|wordwrap:6 }}", {"x": "hello World"}, "hello\nWorld"),
    (
        "{{ x|wordwrap:6 }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a\n&quot;test&quot;\n&amp;\n&lt;b&gt;bold&lt;/b&gt;\n\nnew\npara\nline",
    ),
    ("{{ x|wordwrap:6 }}", {"x": ""}, ""),
    ("{{ x|wordwrap:6 }}", {"x": None}, "None"),
    ("{{ x|default:'d' }}", {"x": "hello World"}, "hello World"),
    (
        "{{ x|default:'d' }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline",
    ),
    ("{{ x|default:'d' }}", {"x": ""}, "d"),
    ("{{ x|default:'d' }}", {"x": 1}, "1"),
    ("{{ x|default_if_none:'n' }}", {"x": "hello World"}, "hello World"),
    (
        "{{ x|default_if_none:'n' }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline",
    ),
    ("{{ x|default_if_none:'n' }}", {"x": ""}, ""),
    ("{{ x|default_if_none:'n' }}", {"x": None}, "n"),
    ("{{ x|yesno }}", {"x": "hello World"}, "yes"),
    ("{{ x|yesno }}", {"x": ""}, "no"),
    ("{{ x|yesno }}", {"x": None}, "maybe"),
    ("{{ x|yesno:'y,n' }}", {"x": "hello World"}, "y"),
    ("{{ x|yesno:'y,n' }}", {"x": ""}, "n"),
    ("{{ x|yesno:'y,n,m' }}", {"x": "hello World"}, "y"),
    ("{{ x|yesno:'y,n,m' }}", {"x": ""}, "n"),
    ("{{ x|yesno:'y,n,m' }}", {"x": None}, "m"),
    ("{{ x|yesno:'y' }}", {"x": "hello World"}, "hello World"),
    (
        "{{ x|yesno:'y' }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline",
    ),
    ("{{ x|yesno:'y' }}", {"x": ""}, ""),
    ("{{ x|yesno:'y' }}", {"x": None}, "None"),
    ("{{ x|pluralize }}", {"x": "hello World"}, ""),
    ("{{ x|pluralize }}", {"x": 0}, "s"),
    ("{{ x|pluralize:'es' }}", {"x": "hello World"}, ""),
    ("{{ x|pluralize:'es' }}", {"x": 0}, "es"),
    ("{{ x|pluralize:'y,ies' }}", {"x": "hello World"}, ""),
    ("{{ x|pluralize:'y,ies' }}", {"x": 0}, "ies"),
    ("{{ x|pluralize:'y,ies' }}", {"x": 1}, "y"),
    ("{{ x|pluralize:'a,b,c' }}", {"x": "hello World"}, ""),
    ("{{ x|stringformat:'s' }}", {"x": "hello World"}, "hello World"),
    (
        "{{ x|stringformat:'s' }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline",
    ),
    ("{{ x|stringformat:'s' }}", {"x": ""}, ""),
    ("{{ x|stringformat:'s' }}", {"x": None}, "None"),
    ("{{ x|stringformat:'05d' }}", {"x": "hello World"}, ""),
    ("{{ x|stringformat:'05d' }}", {"x": 0}, "00000"),
    ("{{ x|stringformat:'05d' }}", {"x": 1}, "00001"),
    ("{{ x|stringformat:'05d' }}", {"x": 2}, "00002"),
    ("{{ x|stringformat:'r' }}", {"x": "hello World"}, "&#x27;hello World&#x27;"),
    (
        "{{ x|stringformat:'r' }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "&#x27;it\\&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\\n\\nnew para\\nline&#x27;",
    ),
    ("{{ x|stringformat:'r' }}", {"x": ""}, "&#x27;&#x27;"),
    ("{{ x|stringformat:'r' }}", {"x": None}, "None"),
    ("{{ x|add:'2' }}", {"x": "hello World"}, "hello World2"),
    (
        "{{ x|add:'2' }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline2",
    ),
    ("{{ x|add:'2' }}", {"x": ""}, "2"),
    ("{{ x|add:'2' }}", {"x": None}, ""),
    ("{{ x|add:x }}", {"x": "hello World"}, "hello Worldhello World"),
    (
        "{{ x|add:x }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        (
            "it&#x27;s a &quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nlineit&#x27;s a &"
            "quot;test&quot; &amp; &lt;b&gt;bold&lt;/b&gt;\n\nnew para\nline"
        ),
    ),
    ("{{ x|add:x }}", {"x": ""}, ""),
    ("{{ x|add:x }}", {"x": 0}, "0"),
    ("{{ x|add:5 }}", {"x": "hello World"}, ""),
    ("{{ x|add:5 }}", {"x": 0}, "5"),
    ("{{ x|add:5 }}", {"x": 1}, "6"),
    ("{{ x|add:5 }}", {"x": 2}, "7"),
    ("{{ x|floatformat }}", {"x": "hello World"}, ""),
    ("{{ x|floatformat }}", {"x": 0}, "0"),
    ("{{ x|floatformat }}", {"x": 1}, "1"),
    ("{{ x|floatformat }}", {"x": 2}, "2"),
    ("{{ x|floatformat:2 }}", {"x": "hello World"}, ""),
    ("{{ x|floatformat:2 }}", {"x": 0}, "0.00"),
    ("{{ x|floatformat:2 }}", {"x": 1}, "1.00"),
    ("{{ x|floatformat:2 }}", {"x": 2}, "2.00"),
    ("{{ x|floatformat:'-2' }}", {"x": "hello World"}, ""),
    ("{{ x|floatformat:'-2' }}", {"x": 0}, "0"),
    ("{{ x|floatformat:'-2' }}", {"x": 1}, "1"),
    ("{{ x|floatformat:'-2' }}", {"x": 2}, "2"),
    ("{{ x|floatformat:0 }}", {"x": "hello World"}, ""),
    ("{{ x|floatformat:0 }}", {"x": 0}, "0"),
    ("{{ x|floatformat:0 }}", {"x": 1}, "1"),
    ("{{ x|floatformat:0 }}", {"x": 2}, "2"),
    ("{{ x|floatformat:'2g' }}", {"x": "hello World"}, ""),
    ("{{ x|floatformat:'2g' }}", {"x": 0}, "0.00"),
    ("{{ x|floatformat:'2g' }}", {"x": 1}, "1.00"),
    ("{{ x|floatformat:'2g' }}", {"x": 2}, "2.00"),
    ("{{ x|filesizeformat }}", {"x": "hello World"}, "0\xa0bytes"),
    ("{{ x|filesizeformat }}", {"x": 1}, "1\xa0byte"),
    ("{{ x|filesizeformat }}", {"x": 2}, "2\xa0bytes"),
    ("{{ x|filesizeformat }}", {"x": 34.23234}, "34\xa0bytes"),
    ("{{ x|date }}", {"x": "hello World"}, ""),
    ("{{ x|date:'Y-m-d H:i' }}", {"x": "hello World"}, ""),
    (
        "{{ x|json_script:'i' }}",
        {"x": "hello World"},
        '<script id="i" type="application/json">"hello World"</script>',
    ),
    (
        "{{ x|json_script:'i' }}",
        {"x": 'it\'s a "test" & <b>bold</b>\n\nnew para\nline'},
        (
            '<script id="i" type="application/json">"it\'s a \\"test\\" \\u0026 \\u003Cb\\u003Ebold\\u'
            '003C/b\\u003E\\n\\nnew para\\nline"</script>'
        ),
    ),
    ("{{ x|json_script:'i' }}", {"x": ""}, '<script id="i" type="application/json">""</script>'),
    ("{{ x|json_script:'i' }}", {"x": None}, '<script id="i" type="application/json">null</script>'),
    ('{{ x|date:"a" }}', {"x": DT}, "p.m."),
    ('{{ x|date:"A" }}', {"x": DT}, "PM"),
    ('{{ x|date:"b" }}', {"x": DT}, "nov"),
    ('{{ x|date:"c" }}', {"x": DT}, "2026-11-20T15:04:05.678901+00:00"),
    ('{{ x|date:"d" }}', {"x": DT}, "20"),
    ('{{ x|date:"D" }}', {"x": DT}, "Fri"),
    ('{{ x|date:"e" }}', {"x": DT}, "UTC"),
    ('{{ x|date:"E" }}', {"x": DT}, "November"),
    ('{{ x|date:"f" }}', {"x": DT}, "3:04"),
    ('{{ x|date:"F" }}', {"x": DT}, "November"),
    ('{{ x|date:"g" }}', {"x": DT}, "3"),
    ('{{ x|date:"G" }}', {"x": DT}, "15"),
    ('{{ x|date:"h" }}', {"x": DT}, "03"),
    ('{{ x|date:"H" }}', {"x": DT}, "15"),
    ('{{ x|date:"i" }}', {"x": DT}, "04"),
    ('{{ x|date:"I" }}', {"x": DT}, "0"),
    ('{{ x|date:"j" }}', {"x": DT}, "20"),
    ('{{ x|date:"l" }}', {"x": DT}, "Friday"),
    ('{{ x|date:"L" }}', {"x": DT}, "False"),
    ('{{ x|date:"m" }}', {"x": DT}, "11"),
    ('{{ x|date:"M" }}', {"x": DT}, "Nov"),
    ('{{ x|date:"n" }}', {"x": DT}, "11"),
    ('{{ x|date:"N" }}', {"x": DT}, "Nov."),
    ('{{ x|date:"o" }}', {"x": DT}, "2026"),
    ('{{ x|date:"O" }}', {"x": DT}, "+0000"),
    ('{{ x|date:"P" }}', {"x": DT}, "3:04 p.m."),
    ('{{ x|date:"r" }}', {"x": DT}, "Fri, 20 Nov 2026 15:04:05 +0000"),
    ('{{ x|date:"s" }}', {"x": DT}, "05"),
    ('{{ x|date:"S" }}', {"x": DT}, "th"),
    ('{{ x|date:"t" }}', {"x": DT}, "30"),
    ('{{ x|date:"T" }}', {"x": DT}, "UTC"),
    ('{{ x|date:"u" }}', {"x": DT}, "678901"),
    ('{{ x|date:"U" }}', {"x": DT}, "1795187045"),
    ('{{ x|date:"w" }}', {"x": DT}, "5"),
    ('{{ x|date:"W" }}', {"x": DT}, "47"),
    ('{{ x|date:"y" }}', {"x": DT}, "26"),
    ('{{ x|date:"Y" }}', {"x": DT}, "2026"),
    ('{{ x|date:"z" }}', {"x": DT}, "324"),
    ('{{ x|date:"Z" }}', {"x": DT}, "0"),
    ('{{ x|date:"b" }}', {"x": D}, "mar"),
    ('{{ x|date:"d" }}', {"x": D}, "01"),
    ('{{ x|date:"D" }}', {"x": D}, "Sun"),
    ('{{ x|date:"E" }}', {"x": D}, "March"),
    ('{{ x|date:"F" }}', {"x": D}, "March"),
    ('{{ x|date:"j" }}', {"x": D}, "1"),
    ('{{ x|date:"l" }}', {"x": D}, "Sunday"),
    ('{{ x|date:"L" }}', {"x": D}, "False"),
    ('{{ x|date:"m" }}', {"x": D}, "03"),
    ('{{ x|date:"M" }}', {"x": D}, "Mar"),
    ('{{ x|date:"n" }}', {"x": D}, "3"),
    ('{{ x|date:"N" }}', {"x": D}, "March"),
    ('{{ x|date:"o" }}', {"x": D}, "2026"),
    ('{{ x|date:"S" }}', {"x": D}, "st"),
    ('{{ x|date:"t" }}', {"x": D}, "31"),
    ('{{ x|date:"w" }}', {"x": D}, "0"),
    ('{{ x|date:"W" }}', {"x": D}, "9"),
    ('{{ x|date:"y" }}', {"x": D}, "26"),
    ('{{ x|date:"Y" }}', {"x": D}, "2026"),
    ('{{ x|date:"z" }}', {"x": D}, "60"),
    ('{{ x|date:"jS F \\a\\t Y" }}', {"x": D}, "1st March at 2026"),
    ('{{ x|date:"DATE_FORMAT" }} {{ x|date:"SHORT_DATE_FORMAT" }}', {"x": D}, "March 1, 2026 03/01/2026"),
    (
        "{{ d }} {{ dt }} {{ t }}",
        {"d": D, "dt": DT, "t": T},
        "March 1, 2026 Nov. 20, 2026, 3:04 p.m. 12:30 a.m.",
    ),
    ("{{ l|length }}{{ n|length }}{{ i|length }}", {"l": [1], "i": 5}, "100"),
    ("{{ l|first }}{{ l|last }}", {"l": ["<", ">"]}, "&lt;&gt;"),
    ("{{ 'a'|add:'b' }}{{ l|add:m }}{{ 'a'|add:1 }}|", {"l": [1], "m": [2]}, "ab[1, 2]|"),
    (
        (
            "{{ 1048576|filesizeformat }} {{ 13213213|filesizeformat }} {{ -5|filesizeformat }} {{ 1|fi"
            "lesizeformat }} {{ 1125899906842624|filesizeformat }} {{ 1099511627776|filesizeformat }}"
        ),
        {},
        "1.0\xa0MB 12.6\xa0MB -5\xa0bytes 1\xa0byte 1.0\xa0PB 1.0\xa0TB",
    ),
    (
        "{{ x|safe|linebreaks }}|{{ x|safe|linebreaksbr }}",
        {"x": "<a>\nb\n\nc"},
        "<p><a><br>b</p>\n\n<p>c</p>|<a><br>b<br><br>c",
    ),
    ("{{ x|safe|truncatechars:3 }}", {"x": "<abc>"}, "<a…"),
    (
        "{{ x|safe|title }}{{ x|safe|capfirst }}{{ x|safe|add:'1' }}{{ x|safe|default:'1' }}",
        {"x": "<b>"},
        "<B><b><b>1<b>",
    ),
    ("{{ l|join:', ' }}{{ l|join:x }}", {"l": ["<", "b"], "x": "&"}, "&lt;, b&lt;&amp;b"),
    ("{{ 'MIXED case o\\'neil 3rd x2x don\\'t'|title }}", {}, "Mixed Case O'Neil 3rd X2x Don't"),
    (
        "{{ a|title }}",
        {"a": "joe's crab-shack 555 main 2nd street o'neil-o'hara"},
        "Joe&#x27;s Crab-Shack 555 Main 2nd Street O&#x27;Neil-O&#x27;Hara",
    ),
    (
        "{{ a|slugify }} {{ b|slugify }}",
        {
            "a": " Jack & Jill like numbers 1,2,3 and 4 and silly characters ?%.$!/",
            "b": "Un éléphant à l'orée du bois",
        },
        "jack-jill-like-numbers-123-and-4-and-silly-characters un-elephant-a-loree-du-bois",
    ),
    (
        "{{ a|truncatechars:7 }}|{{ b|truncatechars:4 }}|{{ c|truncatechars:3 }}",
        {"a": "Joel is a slug", "b": "abcd", "c": "abcd"},
        "Joel i…|abcd|ab…",
    ),
    (
        "{{ a|wordwrap:14 }}",
        {
            "a": "this is a long paragraph of text that really needs to be wrapped I'm afraid\n\n  "
            "indented text  here"
        },
        (
            "this is a long\nparagraph of\ntext that\nreally needs\nto be wrapped\nI&#x27;m afraid\n\n"
            "  indented\ntext  here"
        ),
    ),
    ("{{ a|wordwrap:5 }}", {"a": "superlongword short a b c d"}, "superlongword\nshort\na b c\nd"),
    (
        (
            "{{ a|floatformat }} {{ b|floatformat }} {{ c|floatformat }} {{ a|floatformat:3 }} {{ b|flo"
            "atformat:3 }} {{ a|floatformat:'0' }} {{ a|floatformat:'-3' }} {{ b|floatformat:'-3' }} {{"
            " d|floatformat:2 }} {{ e|floatformat:'2g' }} {{ f|floatformat:3 }} {{ g|floatformat }} {{ "
            "h|floatformat }} {{ i|floatformat:0 }} {{ j|floatformat:1 }}"
        ),
        {
            "a": 34.23234,
            "b": 34.0,
            "c": 34.26,
            "d": 0.5e-9,
            "e": 34232.34,
            "f": "1e3",
            "g": "abc",
            "h": float("inf"),
            "i": -0.4,
            "j": 0.25,
        },
        "34.2 34 34.3 34.232 34.000 34 34.232 34 0.00 34,232.34 1000.000  inf 0 0.3",
    ),
    (
        "{{ x|striptags }}",
        {"x": "<b>Joel</b> <button>is</button> a <span>slug</span> 1 < 2 &amp; <!-- c --> x"},
        "Joel is a slug 1 &lt; 2 &amp;amp;  x",
    ),
    (
        "{{ x|urlencode }} {{ x|urlencode:'' }}",
        {"x": "https://a.b/c?d=e&f=é x"},
        "https%3A//a.b/c%3Fd%3De%26f%3D%C3%A9%20x https%3A%2F%2Fa.b%2Fc%3Fd%3De%26f%3D%C3%A9%20x",
    ),
    (
        "{{ x|pluralize }}{{ y|pluralize }}{{ z|pluralize:'y,ies' }}{{ l|pluralize }}",
        {"x": 1, "y": 2, "z": 0, "l": [1]},
        "sies",
    ),
    ("{% csrf_token %}|", {}, "|"),
    (
        "{% csrf_token %}",
        {"csrf_token": "abc<"},
        '<input type="hidden" name="csrfmiddlewaretoken" value="abc&lt;">',
    ),
    (
        (
            "{% load static %}{% for i in l %}{% if forloop.first %}{% static i as u %}{% endif %}[{{ u }}]"
            "{% endfor %}{{ u }}|"
        ),
        {"l": ["a", "b", "c"]},
        "[/static/a][/static/a][/static/a]|",
    ),
    (
        "{% load static %}{% for i, j in l %}[{{ u }}]{% static i as u %}{{ u }}{% endfor %}",
        {"l": ["ab", "cd"]},
        "[]/static/a[]/static/c",
    ),
    (
        "{% load static %}{% for i in l %}{{ x }}{% endfor %}{% static 'f' as x %}{{ x }}",
        {"l": "ab", "x": "X"},
        "XX/static/f",
    ),
    (
        (
            "{% load static %}{% static 'f' as x %}{% for i in l %}{{ x }} {% static i as x %}"
            "{% endfor %}{{ x }}"
        ),
        {"l": "ab"},
        "/static/f /static/a /static/f",
    ),
    (
        "{% load static %}{% for i in l %}{{ i }}{% static 'f' as i %}{{ i }} {% endfor %}",
        {"l": "ab"},
        "a/static/f b/static/f ",
    ),
    (
        "{% load static %}{% with y=1 %}{{ x }}{% static 'f' as x %}{{ x }}{% endwith %}{{ x }}",
        {"x": "X"},
        "X/static/fX",
    ),
    ("{% load static %}{% if n %}{% static 'f' as x %}{% endif %}{{ x }}", {"x": "X"}, "X"),
    (
        "{% load static %}{% for i in n %}{% empty %}{{ x }}{% static 'f' as x %}{{ x }}{% endfor %}{{ x }}",
        {"x": "X"},
        "X/static/fX",
    ),
    (
        "{% load static %}{% block a %}{{ x }}{% static 'f' as x %}{{ x }}{% endblock %}{{ x }}",
        {"x": "X"},
        "X/static/fX",
    ),
    ("{% if 1|first == 'x' %}y{% else %}n{% endif %}", {"x": "X"}, "n"),
    ("{% if 1|first != 'x' %}y{% else %}n{% endif %}", {"x": "X"}, "n"),
    ("{% if x is not 1|first %}y{% else %}n{% endif %}", {"x": "X"}, "n"),
    ("{% if x not in 1|first %}y{% else %}n{% endif %}", {"x": "X"}, "n"),
    ("{% if 1|first not in x %}y{% else %}n{% endif %}", {"x": "X"}, "n"),
    ("{% if 1|first|upper == '' %}y{% else %}n{% endif %}", {"x": "X"}, "n"),
    ("{% if x or 1|first %}y{% else %}n{% endif %}", {"x": "X"}, "y"),
    ("{% if 1|first or x %}y{% else %}n{% endif %}", {"x": "X"}, "n"),
    ("{% if x and 1|first %}y{% else %}n{% endif %}", {"x": "X"}, "n"),
    ("{% if 1|first and x %}y{% else %}n{% endif %}", {"x": "X"}, "n"),
    ("{% if not 1|first %}y{% else %}n{% endif %}", {"x": "X"}, "n"),
    ("{% if not not 1|first %}y{% else %}n{% endif %}", {"x": "X"}, "y"),
    ("{% if 1|first == 1 or x %}y{% else %}n{% endif %}", {"x": "X"}, "y"),
    ("{% if not 1|first == 1 %}y{% else %}n{% endif %}", {"x": "X"}, "y"),
    ("{% if x|length == 1 and x|first == 'X' %}y{% else %}n{% endif %}", {"x": "X"}, "y"),
    ("{% if n or x|first %}y{% else %}n{% endif %}", {"x": "X"}, "y"),
]
