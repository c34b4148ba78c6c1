"""HTTP connections: paths, headers, queries, cookies, bodies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from tests.hostile.corpus import HANGS_UP, Request, http, named
from tests.hostile.multipart import chunked

__all__ = ["BIG_NUMBERS", "REQUESTS", "filtered"]

KIB, MIB = 1 << 10, 1 << 20
KEPT_OPEN = "GET {} HTTP/1.1\r\nHost: localhost\r\n\r\nGET {} HTTP/1.1\r\nHost: localhost\r\n\r\n"
FORM = "application/x-www-form-urlencoded"
REFUSED = (HANGS_UP, *range(200, 500))
REFUSED_OR_500 = (HANGS_UP, *range(200, 501))
"""For what the page itself lets through to `HttpResponse`, whose BadHeaderError is the page's to handle."""

LATE = "the server refuses the header, after the application: HttpResponse lets it through, as Django's does"

BIG_NUMBERS = {
    "1e1000000": "took 23 s",
    "-1e1000000": "took 23 s",
    "1e-1000000": "took 23 s",
    "1e30": "raised decimal.InvalidOperation with two decimals",
    "1e999999999999": "an exponent that Decimal itself refuses",
    "1e200": "the largest exponent that is written out",
    "1e201": "the first that is not",
    "9" * 4300: "as many digits as int() reads",
    "9" * 4301: "one more",
    "9" * 50_000: "as long as a query may be",
    "0." + "0" * 4000 + "1": "many decimals",
    "NaN": "no number",
    "sNaN": "a number that raises where it is compared",
    "-Infinity": "no number that int() takes",
    "0x7f": "no decimal number",
    "1_000": "an underscore is a digit to int()",
    "\u0663": "a digit that is not ASCII",
    "-0": "minus nothing",
    "": "nothing",
    "%d%s%(a)s": "a format",
    "<" * 3000: "many tags that begin",
    "<a " * 1000: "many tags that do not end",
    "&" * 3000: "many entities that begin",
    "&#" + "9" * 3000 + ";": "an entity of a huge number",
    "http://" + "a." * 1500: "a long name of a host",
    "http://" + "(" * 3000: "punctuation that has to be trimmed",
    "a@" + "b." * 1500: "an address",
    "x" * 1000 + "." * 2000: "trailing dots",
    "\x00\x1b[31m": "control characters",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"): "half of a pair",
}
"""Values of a template filter, and what they did."""

FILTERS = (
    *(
        "add",
        "add_itself",
        "center",
        "date",
        "filesizeformat",
        "floatformat",
        "floatformat_2",
        "floatformat_g",
    ),
    *("floatformat_negative", "intcomma", "join", "linebreaks", "pluralize", "slugify", "stringformat"),
    *("striptags", "title", "wordwrap", "yesno"),
)


def filtered(name: str, value: str) -> bytes:
    """A page that shows `value` through a filter; long values are posted."""
    text = f"value={quote(value, safe='')}"
    if len(text) < 8000:
        return http("GET", f"/filter/{name}/?{text}")
    return http("POST", f"/filter/{name}/", f"Content-Type: {FORM}", body=text.encode())


def form(body: bytes, kind: str = FORM, target: str = "/form/") -> bytes:
    return http("POST", target, f"Content-Type: {kind}", body=body)


def get(target: str | bytes, *lines: str | bytes) -> Callable[[], bytes]:
    return partial(http, "GET", target, *lines)


PATHS = {
    "NUL": "/room/%00/",
    "NUL in static": "/static/%00",
    "encoded slash": "/room/a%2Fb/",
    "double encoded": "/room/%252e%252e%252f/",
    "surrogate": "/room/%ED%A0%80/",
    "not UTF-8": "/room/%ff%fe/",
    "overlong": "/room/%c0%ae%c0%ae/",
    "percent alone": "/room/%/",
    "percent and letters": "/room/%zz/",
    "newlines": "/room/%0d%0aSet-Cookie:%20a=b/",
    "escape": "/room/%1b[31m/",
    "no slash, newline": "/room/%0d%0aX:%20y",
    "two slashes": "//evil.example/room",
    "two slashes, no end": "//evil.example",
    "backslashes": "/\\evil.example/room",
    "three slashes": "///evil.example/%2e%2e",
    "dots": "/../../etc/passwd",
    "many dots": "/" + "../" * 2000,
    "static dots": "/static/../../attacked/settings.py",
    "static dots encoded": "/static/%2e%2e/%2e%2e/attacked/settings.py",
    "static slashes encoded": "/static/..%2f..%2fattacked%2fsettings.py",
    "static backslashes": "/static/..\\..\\attacked\\settings.py",
    "static absolute": "/static//etc/passwd",
    "static of 300": "/static/" + "a" * 300,
    "static of 5,000": "/static/" + "a" * 5000,
    "static deep": "/static/" + "a/" * 3000,
    "static folder": "/static/attacked",
    "static folder, slash": "/static/attacked/",
    "static surrogate": "/static/%ED%A0%80",
    "static page, slash": "/static/attacked/page.js/",
    "int of 5,000 digits": "/number/" + "9" * 5000 + "/",
    "int of Arabic digits": "/number/%D9%A3/",
    "int with newline": "/number/1%0a/",
    "pattern with newline": "/pattern/abc%0a/",
    "pattern of 50,000": "/pattern/" + "a" * 50_000 + "/",
    "long": "/room/" + "x" * 60_000 + "/",
    "asterisk": "*",
    "absolute": "http://evil.example/room/a/",
    "authority": "evil.example:80",
    "question marks": "/?" + "?" * 5000,
    "fragment": "/room/a/#x",
    "template name": "/room/{{%20settings.SECRET_KEY%20}}/",
    "template tag": "/room/%7B%25%20include%20%22x%22%20%25%7D/",
    "script": "/room/%3C%2Fscript%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E/",
}
HEADERS: dict[str, list[str | bytes]] = {
    "Content-Length of letters": ["Content-Length: abc"],
    "Content-Length negative": ["Content-Length: -1"],
    "Content-Length with plus": ["Content-Length: +1"],
    "Content-Length twice": ["Content-Length: 1", "Content-Length: 2"],
    "Content-Length list": ["Content-Length: 0, 0"],
    "Content-Length of 5,000 digits": ["Content-Length: " + "9" * 5000],
    "Content-Length and chunked": ["Content-Length: 5", "Transfer-Encoding: chunked"],
    "Content_Length": ["Content_Length: abc"],
    "chunked twice": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "chunked misspelt": ["Transfer-Encoding: xchunked"],
    "space before colon": ["Host : evil.example"],
    "folded": ["X-A: 1", " continued: 2"],
    "NUL": [b"X-A: a\x00b"],
    "latin-1": [b"X-A: \xe9\xff"],
    "no name": [b": x"],
    "no colon": [b"nothing"],
    "name of 5,000": ["X-" + "a" * 5000 + ": 1"],
    "underscore": ["X_Forwarded_For: 1.2.3.4", "HTTP_HOST: evil.example"],
    "Host twice": ["Host: evil.example"],
    "Cookie of 5,000": ["Cookie: " + "; ".join(f"a{n}={n}" for n in range(5000))],
    "Cookie of quotes": ['Cookie: a="' + "\\" * 5000],
    "Cookie of octal": ['Cookie: a="' + "\\377" * 3000 + '"'],
    "Cookie of equals": ["Cookie: " + "=" * 10_000],
    "Cookie of semicolons": ["Cookie: " + ";" * 30_000],
    "Cookie latin-1": [b"Cookie: sessionid=\xff; csrftoken=\xff; \xff=\x80"],
    "Cookie reserved names": ["Cookie: path=/; domain=x; expires=1; $Version=1"],
    "Content-Type empty": ["Content-Type: "],
    "Content-Type of semicolons": ["Content-Type: text/plain" + ";" * 30_000],
    "Content-Type of quotes": ['Content-Type: text/plain; a="' + '\\"' * 15_000],
    "Content-Type of parameters": ["Content-Type: text/plain" + "; a=b" * 6000],
    "Content-Type continued": [
        "Content-Type: text/plain" + "".join(f"; a*{n}*=utf-8''%41" for n in range(2000))
    ],
    "Content-Type encoded broken": ["Content-Type: text/plain; charset*=nothing'x'%ff"],
    "Content-Type latin-1": [b"Content-Type: text/\xff; charset=\xe9"],
    "Content-Type charset NUL": [b"Content-Type: text/plain; charset=a\x01b"],
    "Accept of commas": ["Accept: " + "," * 30_000],
    "Accept of many": ["Accept: " + ",".join(f"a/b{n};q=0.{n}" for n in range(2000))],
    "Accept q infinite": ["Accept: a/b;q=nan, c/d;q=inf, e/f;q=-1, g/h;q=1e999"],
    "Accept-Language of many": ["Accept-Language: " + ",".join(f"l{n};q=0.{n}" for n in range(2000))],
    "Accept-Language of hyphens": ["Accept-Language: " + "a" + "-a" * 10_000],
    "If-Modified-Since broken": ["If-Modified-Since: Mon, 99 Foo 99999 99:99:99 GMT"],
    "If-Modified-Since far": ["If-Modified-Since: Fri, 31 Dec 9999999999 23:59:59 GMT"],
    "If-None-Match of commas": ["If-None-Match: " + '"a",' * 8000],
    "Range of many": ["Range: bytes=" + ",".join(f"{n}-" for n in range(5000))],
    "Range huge": ["Range: bytes=0-" + "9" * 5000],
    "Range reversed": ["Range: bytes=9-0"],
    "Referer broken": ["Referer: http://[", "Origin: http://["],
    "Origin null": ["Origin: null"],
    "Origin of newlines": [b"Origin: http://a\x0bb"],
    "X-Forwarded-Proto": ["X-Forwarded-Proto: javascript", "X-Forwarded-Host: evil.example"],
    "session forged": ["Cookie: sessionid=" + "a" * 4000 + ":1:2"],
    "session of dots": ["Cookie: sessionid=" + "." * 8000],
    "session of colons": ["Cookie: sessionid=" + ":" * 8000],
    "session compressed": ["Cookie: sessionid=.eJw" + "A" * 4000 + ":1:2"],
    "csrf of latin-1": [b"Cookie: csrftoken=\xe9" + b"a" * 31],
    "csrf of 64 others": ["Cookie: csrftoken=" + "\u00e9" * 64],
    "Expect": ["Expect: 200-maybe"],
    "Upgrade h2c": ["Upgrade: h2c", "HTTP2-Settings: AAA"],
    "Upgrade websocket, no key": ["Upgrade: websocket", "Connection: Upgrade"],
}
HOSTS = {
    "missing": "",
    "foreign": "evil.example",
    "port of letters": "localhost:abc",
    "port of 5,000 digits": "localhost:" + "9" * 5000,
    "userinfo": "localhost@evil.example",
    "brackets": "[::1",
    "brackets and text": "[::1]evil.example",
    "comma": "localhost,evil.example",
    "tab": "localhost\tevil",
    "dots": "localhost....",
    "long": "a." * 10_000 + "localhost",
    "percent": "localhost%00.evil.example",
}


REQUESTS = named(
    [
        Request(
            name="what is no request, behind two of which the first still runs",
            once="uvicorn tells only the second one that the connection is over; the first raised an error",
            data=lambda: [KEPT_OPEN.format("/slow/?ms=50", "/").encode() + b"\0", get("/slow/?ms=300")()],
            statuses=(HANGS_UP, 200, 400),
        ),
        *(
            Request(
                name=f"path {name}",
                once="a path that none should be",
                data=get(path),
                statuses=REFUSED,
                debug=True,
            )
            for name, path in PATHS.items()
        ),
        *(
            Request(
                name=f"header {name}",
                once="a header that none should be",
                data=get("/session/", *lines),
                statuses=REFUSED,
            )
            for name, lines in HEADERS.items()
        ),
        *(
            Request(
                name=f"header {name} of a form",
                once="the same on a POST that the CSRF check reads",
                data=partial(http, "POST", "/", *lines, body=b"" if "ength" in name else b"a=b"),
                statuses=REFUSED,
            )
            for name, lines in HEADERS.items()
            if "chunked" not in name
        ),
        *(
            Request(
                name=f"header {name} of a static file",
                once="the same on a static file",
                data=get("/static/attacked/page.js", *lines),
                statuses=REFUSED,
                debug=True,
            )
            for name, lines in HEADERS.items()
            if name.startswith(("If-", "Range"))
        ),
        *(
            Request(
                name=f"host {name}",
                once="a Host that none should be",
                data=partial(http, "GET", "/redirect/?to=//x", host=host),
                statuses=REFUSED,
            )
            for name, host in HOSTS.items()
        ),
        Request(
            name="query of 1,001 fields",
            once="a traceback left the application",
            data=get("/query/?" + "&".join(f"a{n}=1" for n in range(1001))),
        ),
        Request(
            name="query of ampersands",
            once="60,000 fields without a name",
            data=get("/query/?" + "&" * 60_000),
        ),
        Request(
            name="query not UTF-8",
            once="bytes that are no text",
            data=get(b"/query/?a=%ff&b=\xff\xfe"),
            statuses=REFUSED,
        ),
        *(
            Request(
                name=f"charset {charset} on {target}",
                once="a traceback left the application",
                data=partial(http, "GET", target, f"Content-Type: text/plain; charset={charset}"),
            )
            for charset in (
                *("zlib", "idna", "undefined", "rot13", "base64", "hex", "punycode", "utf-7", "utf-16"),
                *("utf_8_sig", "raw_unicode_escape", "unicode_escape", "mbcs", "../../x", "a" * 5000, "\xe9"),
            )
            for target in ("/query/?a=%41", "/query/?a=%ff")
        ),
        *(
            Request(
                name=f"form charset {charset}",
                once="a traceback left the application",
                data=partial(form, b"a=%ff&b=%41", f"{FORM}; charset={charset}"),
            )
            for charset in ("zlib", "idna", "undefined", "utf-16", "rot13", "unicode_escape")
        ),
        Request(
            name="form of 1,001 fields",
            once="one more than DATA_UPLOAD_MAX_NUMBER_FIELDS",
            data=lambda: form(b"&".join(b"a%d=1" % n for n in range(1001))),
            statuses=(400, 413),
        ),
        Request(
            name="form of 2,000,000 ampersands",
            once="fields without a name count as well, or cost nothing",
            data=lambda: form(b"&" * 2_000_000),
        ),
        Request(
            name="form of 3 MiB",
            once="more than DATA_UPLOAD_MAX_MEMORY_SIZE",
            data=lambda: form(b"a=" + b"x" * 3 * MIB),
            statuses=(400, 413, HANGS_UP),
        ),
        Request(
            name="form of 3 MiB, chunked",
            once="passed DATA_UPLOAD_MAX_MEMORY_SIZE: without Content-Length nobody looked",
            data=lambda: chunked("/form/", FORM, b"a=" + b"x" * 65534, 3 * MIB),
            statuses=(400, 413, HANGS_UP),
        ),
        Request(
            name="body of 3 MiB, chunked",
            once="the same by request.body",
            data=lambda: chunked("/body/", "application/json", b"x" * 65536, 3 * MIB),
            statuses=(400, 413, HANGS_UP),
        ),
        Request(
            name="body in chunks of one byte",
            once="each chunk is a message of its own",
            data=lambda: chunked("/body/", "application/json", b"x", 20_000),
        ),
        Request(
            name="body shorter than it says",
            once="waits for the rest; the client must not be waited for by others",
            data=lambda: http("POST", "/body/", body=b"x", length=1000)[:-1],
            abandoned=True,
        ),
        Request(
            name="chunk size broken",
            once="a chunk size that is no number",
            data=lambda: http("POST", "/body/", "Transfer-Encoding: chunked") + b"zz\r\nx\r\n0\r\n\r\n",
            statuses=REFUSED,
        ),
        Request(
            name="chunk size huge",
            once="a chunk larger than any memory",
            data=lambda: http("POST", "/body/", "Transfer-Encoding: chunked") + b"f" * 40 + b"\r\nx",
            statuses=REFUSED,
        ),
        Request(
            name="two requests in one segment",
            once="the second one belongs to the same client",
            data=lambda: b"GET /query/ HTTP/1.1\r\nHost: localhost\r\n\r\n" + http("GET", "/query/"),
        ),
        Request(
            name="request in the body of a GET",
            once="a body that looks like a request must not be answered",
            data=lambda: http("GET", "/query/", body=b"GET /session/ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ),
        *(
            Request(
                name=f"method {name}",
                once="a method that no view knows",
                data=partial(http, method, "/form/", body=b"a=b"),
                statuses=REFUSED,
            )
            for name, method in {
                "unknown": "FOO",
                "lower case": "post",
                "of 5,000": "A" * 5000,
                "TRACE": "TRACE",
                "CONNECT": "CONNECT",
                "NUL": "G\x00T",
                "empty": "",
            }.items()
        ),
        *(
            Request(
                name=f"filters of {value[:24]!r}, {len(value)} characters",
                once=once,
                data=partial(lambda value: [filtered(name, value) for name in FILTERS], value),
            )
            for value, once in BIG_NUMBERS.items()
        ),
        *(
            Request(
                name=f"redirect to {name}",
                once="a place that must not become a header of its own, or a script",
                data=get(f"/redirect/?to={target}"),
                statuses=REFUSED_OR_500,
                logs=("BadHeaderError", "DisallowedRedirect", "SuspiciousOperation", "ValueError"),
            )
            for name, target in {
                "newlines": "/%0d%0aSet-Cookie:%20a=b",
                "script": "javascript:alert(1)",
                "NUL": "/%00",
                "surrogate": "/%ED%A0%80",
                "not latin-1": "/%E2%82%AC",
                "brackets": "http://[",
                "long": "/" + "a" * 50_000,
                "port": "http://a:99999999/",
            }.items()
        ),
        *(
            Request(
                name=f"response header {name}",
                once="a value that must not become a header of its own",
                data=get(f"/header/?{query}"),
                statuses=REFUSED_OR_500,
                logs=("BadHeaderError", "UnicodeEncodeError"),
                xfail=LATE if name in ("NUL", "name with colon", "name with space") else "",
            )
            for name, query in {
                "newlines": "value=a%0d%0aSet-Cookie:%20a=b",
                "newline": "value=a%0ab",
                "return": "value=a%0db",
                "not latin-1": "value=%E2%82%AC",
                "long and not latin-1": "value=" + "%E2%82%AC" * 2000,
                "name with newline": "name=a%0ab",
                "name with colon": "name=a:b",
                "name with space": "name=a%20b",
                "name not ASCII": "name=%C3%A9",
                "name empty": "name=",
                "NUL": "value=a%00b",
            }.items()
        ),
        *(
            Request(
                name=f"response cookie {name}",
                once="a value that must not become an attribute or a header of its own",
                data=get(f"/cookie/?{query}"),
                statuses=REFUSED_OR_500,
                logs=("BadHeaderError", "CookieError"),
                xfail=LATE if name == "not latin-1" else "",
            )
            for name, query in {
                "newlines": "value=a%0d%0aSet-Cookie:%20a=b",
                "attributes": "value=a;%20Domain=evil.example",
                "not latin-1": "value=%E2%82%AC%F0%9F%92%A5",
                "NUL": "value=%00",
                "name with newline": "name=a%0ab",
                "name with semicolon": "name=a%3Bb",
                "name not ASCII": "name=%C3%A9",
                "name reserved": "name=path",
            }.items()
        ),
    ]
)
