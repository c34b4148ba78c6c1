"""What Django 5.2 says to these expressions, recorded: a ``repr``, or an exception's type after ``!``."""

from __future__ import annotations

__all__ = ["CASES"]

CASES: list[tuple[str, str]] = [
    (
        'html.escape("<a href=\'x\'>&\\"") ',
        "'&lt;a href=&#x27;x&#x27;&gt;&amp;&quot;'",
    ),
    (
        'html.conditional_escape(safestring.mark_safe("<b>"))',
        "'<b>'",
    ),
    (
        'html.format_html("<b>{}</b>{x}", "<", x=safestring.mark_safe("&"))',
        "'<b>&lt;</b>&'",
    ),
    (
        'html.format_html_join(", ", "<li>{} {}</li>", [("<",1),("b",2)])',
        "'<li>&lt; 1</li>, <li>b 2</li>'",
    ),
    (
        'html.format_html("x")',
        "'x'",
    ),
    (
        'html.strip_tags("<p>a<br>b &amp; c</p><script>x</script> 1<2")',
        "'ab &amp; cx 1<2'",
    ),
    (
        'html.strip_tags("a<b")',
        "'a<b'",
    ),
    (
        'html.escapejs("\\x00\'\\"<>&=-;`\\u2028")',
        (
            "'\\\\u0000\\\\u0027\\\\u0022\\\\u003C\\\\u003E\\\\u0026\\\\u003D\\\\u002D\\\\u003B\\\\u0060\\\\u"
            "2028'"
        ),
    ),
    (
        'html.linebreaks("a\\nb\\n\\n\\nc", autoescape=True)',
        "'<p>a<br>b</p>\\n\\n<p>c</p>'",
    ),
    (
        'html.json_script({"a":"</script>"}, "x")',
        '\'<script id="x" type="application/json">{"a": "\\\\u003C/script\\\\u003E"}</script>\'',
    ),
    (
        "html.json_script([1])",
        "'<script type=\"application/json\">[1]</script>'",
    ),
    (
        'http.urlencode({"a":[1,2],"b":"x y"})',
        "'a=%5B1%2C+2%5D&b=x+y'",
    ),
    (
        'http.urlencode({"a":[1,2],"b":"x y"}, doseq=True)',
        "'a=1&a=2&b=x+y'",
    ),
    (
        'http.urlencode([("a","é")])',
        "'a=%C3%A9'",
    ),
    (
        'http.urlencode({"a":None})',
        "!TypeError",
    ),
    (
        'http.urlencode(QueryDict("a=1&a=2"), doseq=True)',
        "'a=1&a=2'",
    ),
    (
        "http.http_date(0)",
        "'Thu, 01 Jan 1970 00:00:00 GMT'",
    ),
    (
        'http.parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT")',
        "784111777",
    ),
    (
        'http.parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT")',
        "784111777",
    ),
    (
        'http.parse_http_date("Sun Nov  6 08:49:37 1994")',
        "784111777",
    ),
    (
        'http.parse_http_date("nope")',
        "!ValueError",
    ),
    (
        'http.parse_http_date_safe("nope")',
        "None",
    ),
    (
        'http.is_same_domain("a.example.com",".example.com")',
        "True",
    ),
    (
        'http.is_same_domain("example.com",".example.com")',
        "True",
    ),
    (
        'http.is_same_domain("xexample.com",".example.com")',
        "False",
    ),
    (
        'http.is_same_domain("example.com","EXAMPLE.com")',
        "True",
    ),
    (
        'http.is_same_domain("example.com","")',
        "False",
    ),
    (
        (
            '[http.url_has_allowed_host_and_scheme(u,{"ok.com"}) for u in ["/a","//ok.com/","//evil.com",'
            '"http://ok.com/x","https://ok.com","ftp://ok.com","javascript:alert(1)","/\\\\evil.com","\\\\'
            '\\\\evil.com","///evil.com","http:///evil.com","","a/b","http://evil.com","\\x08//evil.com","ok'
            '.com","http:ok.com"," /a"]]'
        ),
        (
            "[True, True, False, True, True, False, False, False, False, False, False, False, True, False"
            ", False, True, False, True]"
        ),
    ),
    (
        (
            '[http.url_has_allowed_host_and_scheme(u,"ok.com",require_https=True) for u in ["http://ok.co'
            'm","https://ok.com","/x","//ok.com"]]'
        ),
        "[False, True, True, False]",
    ),
    (
        (
            '[http.content_disposition_header(a,f) for a in (True,False) for f in ("a.txt","é.txt",\'q"x.t'
            'xt\',"")]'
        ),
        (
            "['attachment; filename=\"a.txt\"', \"attachment; filename*=utf-8''%C3%A9.txt\", 'attachment; "
            'filename="q\\\\"x.txt"\', \'attachment\', \'inline; filename="a.txt"\', "inline; filename*=utf-8'
            "''%C3%A9.txt\", 'inline; filename=\"q\\\\\"x.txt\"', None]"
        ),
    ),
    (
        'text.slugify(" Hello, Wörld_x -- a ")',
        "'hello-world_x-a'",
    ),
    (
        'text.slugify("Hello Wörld", allow_unicode=True)',
        "'hello-wörld'",
    ),
    (
        'text.capfirst("élan")',
        "'Élan'",
    ),
    (
        'text.wrap("a bb ccc dddd\\n eeee", 4)',
        "'a bb\\nccc\\ndddd\\neeee'",
    ),
    (
        'text.normalize_newlines("a\\r\\nb\\rc")',
        "'a\\nb\\nc'",
    ),
    (
        'list(text.smart_split(\'This is "a person\\\\\'s" test. x="y z"|f\'))',
        "!SyntaxError",
    ),
    (
        'text.unescape_string_literal(\'"ab\\\\"c"\')',
        "'ab\"c'",
    ),
    (
        'text.Truncator("abcdefgh").chars(4)',
        "'abc…'",
    ),
    (
        'text.Truncator("abcdefgh").chars(4, truncate="..")',
        "'ab..'",
    ),
    (
        'text.Truncator("a b c d").words(2)',
        "'a b…'",
    ),
    (
        'text.Truncator("a b c d").words(2, truncate=" etc")',
        "'a b etc'",
    ),
    (
        'text.Truncator("e\\u0301e\\u0301e\\u0301e\\u0301").chars(3)',
        "'éé…'",
    ),
    (
        'encoding.force_str(b"\\xc3\\xa9")',
        "'é'",
    ),
    (
        "encoding.force_str(5)",
        "'5'",
    ),
    (
        'encoding.force_bytes("é")',
        "b'\\xc3\\xa9'",
    ),
    (
        'encoding.force_bytes("é", "latin1")',
        "b'\\xe9'",
    ),
    (
        'encoding.iri_to_uri("/a b/é?x=ü&y=%20#z")',
        "'/a%20b/%C3%A9?x=%C3%BC&y=%20#z'",
    ),
    (
        'encoding.escape_uri_path("/a b;c=d?x#y/é")',
        "'/a%20b%3Bc%3Dd%3Fx%23y/%C3%A9'",
    ),
    (
        'encoding.filepath_to_uri("a\\\\b c\\\\é.txt")',
        "'a/b%20c/%C3%A9.txt'",
    ),
    (
        "repr(timezone.make_aware(dt(2020,6,1,12)))",
        "\"datetime.datetime(2020, 6, 1, 12, 0, tzinfo=zoneinfo.ZoneInfo(key='Europe/Berlin'))\"",
    ),
    (
        "repr(timezone.make_naive(dt(2020,6,1,12,tzinfo=UTC)))",
        "'datetime.datetime(2020, 6, 1, 14, 0)'",
    ),
    (
        "timezone.make_aware(dt(2020,6,1,12,tzinfo=UTC))",
        "!ValueError",
    ),
    (
        "timezone.make_naive(dt(2020,6,1))",
        "!ValueError",
    ),
    (
        "str(timezone.localtime(dt(2020,6,1,12,tzinfo=UTC)))",
        "'2020-06-01 14:00:00+02:00'",
    ),
    (
        "timezone.localtime(dt(2020,6,1))",
        "!ValueError",
    ),
    (
        "str(timezone.localdate(dt(2020,6,1,23,tzinfo=UTC)))",
        "'2020-06-02'",
    ),
    (
        "timezone.is_aware(timezone.now()), timezone.now().tzinfo==UTC",
        "(True, True)",
    ),
    (
        'str(timezone.template_localtime(dt(2020,6,1,12,tzinfo=UTC))), timezone.template_localtime("x")',
        "('2020-06-01 14:00:00+02:00', 'x')",
    ),
    (
        'dateformat.format(dt(2020,6,1,12,5,tzinfo=UTC),"D d M Y H:i:s O T e P Z U r c")',
        (
            "'Mon 01 Jun 2020 12:05:00 +0000 UTC UTC 12:05 p.m. 0 1591013100 Mon, 01 Jun 2020 12:05:00 +0"
            "000 2020-06-01T12:05:00+00:00'"
        ),
    ),
    (
        'dateformat.format(timezone.localtime(dt(2020,6,1,12,5,tzinfo=UTC)),"O T e Z I U r c u")',
        (
            "'+0200 CEST CEST 7200 1 1591013100 Mon, 01 Jun 2020 14:05:00 +0200 2020-06-01T14:05:00+02:00"
            " 000000'"
        ),
    ),
    (
        'dateformat.format(datetime.date(2020,6,1),"D jS F Y \\\\o\\\\f L N W z")',
        "'Mon 1st June 2020 of True June 23 153'",
    ),
    (
        'dateformat.time_format(datetime.time(13,5),"H:i g A P")',
        "'13:05 1 PM 1:05 p.m.'",
    ),
    (
        'dateformat.format(datetime.date(2020,6,1),"H")',
        "!TypeError",
    ),
    (
        (
            'formats.date_format(datetime.date(2020,6,1)), formats.date_format(datetime.date(2020,6,1),"S'
            'HORT_DATE_FORMAT"), formats.time_format(datetime.time(5))'
        ),
        "('June 1, 2020', '06/01/2020', '5 a.m.')",
    ),
    (
        (
            'formats.number_format(1234.5, 2), formats.number_format(decimal.Decimal("1.239"),2), formats'
            ".number_format(1234567, force_grouping=True), formats.localize(True), formats.localize(1.0),"
            ' formats.localize(decimal.Decimal("1E+3")), formats.localize(1e20)'
        ),
        "('1234.50', '1.23', '1,234,567', 'True', '1.0', '1000', '100000000000000000000')",
    ),
    (
        (
            'str(QueryDict("a=1&a=2&b=&c&d=%20x+y").lists().__class__.__name__), dict(QueryDict("a=1&a=2&'
            'b=&c&d=%20x+y").lists())'
        ),
        "('dict_itemiterator', {'a': ['1', '2'], 'b': [''], 'c': [''], 'd': [' x y']})",
    ),
    (
        (
            'QueryDict("a=1&a=2")["a"], QueryDict("a=1&a=2").get("z"), QueryDict("a=1&a=2").getlist("a"),'
            ' QueryDict("").getlist("q",5)'
        ),
        "('2', None, ['1', '2'], 5)",
    ),
    (
        'QueryDict("a=1")["b"]',
        "!MultiValueDictKeyError",
    ),
    (
        'QueryDict("a=1").__setitem__("a",1)',
        "!AttributeError",
    ),
    (
        'QueryDict("a=1&b=x y&c=é").urlencode()',
        "'a=1&b=x+y&c=%C3%A9'",
    ),
    (
        'QueryDict("next=/a&b/").urlencode(safe="/")',
        "'next=/a&b/='",
    ),
    (
        'repr(QueryDict("a=1&b=2"))',
        "\"<QueryDict: {'a': ['1'], 'b': ['2']}>\"",
    ),
    (
        'QueryDict("a=1&a=2&b=3").dict()',
        "{'a': '2', 'b': '3'}",
    ),
    (
        'list(QueryDict("a=1&a=2&b=3").items())',
        "[('a', '2'), ('b', '3')]",
    ),
    (
        'QueryDict("a=1&b=2").copy().urlencode()',
        "'a=1&b=2'",
    ),
    (
        (
            '(lambda q: (q.appendlist("a","9"), q.setlist("z",["1","2"]), q.update({"a":"u"}), q.setdefau'
            'lt("n","m"), q.pop("z"), q.urlencode())[-1])(QueryDict("a=1", mutable=True))'
        ),
        "'a=1&a=9&a=u&n=m'",
    ),
    (
        'QueryDict.fromkeys(["a","b","a"], value="v").urlencode()',
        "'a=v&a=v&b=v'",
    ),
    (
        'parse_cookie("a=1; b=\\"two\\"; c; d=x=y; ; e = f ; g=\\\\303")',
        "{'a': '1', 'b': 'two', '': 'c', 'd': 'x=y', 'e': 'f', 'g': '\\\\303'}",
    ),
    (
        'parse_cookie("")',
        "{}",
    ),
    (
        (
            'parse_cookie("chips=ahoy; vienna=finger"), parse_cookie("keebler=\\"E=mc2; L=\\\\\\"Loves\\\\\\"'
            '; fudge=\\\\012;\\""), parse_cookie("a=b; c=[; d=r; f=h")'
        ),
        (
            "({'chips': 'ahoy', 'vienna': 'finger'}, {'keebler': '\"E=mc2', 'L': '\\\\\"Loves\\"
            "\\\"', 'fudge': '\\\\012', '': '\"'}, {'a': 'b', 'c': '[', 'd': 'r', 'f':"
            " 'h'})"
        ),
    ),
    (
        (
            '[split_domain_port(h) for h in ["Example.com:80","[::1]:9","a.b.","x y","evil/","","a:b","LO'
            'CALHOST"]]'
        ),
        (
            "[('example.com', '80'), ('[::1]', '9'), ('a.b', ''), ('', ''), ('', ''), ('', ''), ('', ''),"
            " ('localhost', '')]"
        ),
    ),
    (
        '[validate_host("a.example.com",[p]) for p in ["*",".example.com","example.com","A.example.com"]]',
        "[True, True, False, True]",
    ),
    (
        (
            'str(MediaType("text/html; q=0.5; charset=utf-8")), MediaType("text/*").match("text/html"), M'
            'ediaType("*/*").match("a/b"), MediaType("text/html").match("text/plain")'
        ),
        "('text/html; q=0.5; charset=utf-8', True, True, False)",
    ),
    (
        (
            'HttpResponse("é").content, HttpResponse(["a",b"b",3]).content, HttpResponse(b"x")["Content-T'
            'ype"], HttpResponse("x",content_type="text/plain").charset'
        ),
        "(b'\\xc3\\xa9', b'ab3', 'text/html; charset=utf-8', 'utf-8')",
    ),
    (
        (
            'HttpResponse("x",status=299).reason_phrase, HttpResponse(status=404).reason_phrase, HttpResp'
            'onse(status=418, reason="Tea").reason_phrase'
        ),
        "('Unknown Status Code', 'Not Found', 'Tea')",
    ),
    (
        "HttpResponse(status=99)",
        "!ValueError",
    ),
    (
        'HttpResponse(headers={"a":"b\\nc"})',
        "!BadHeaderError",
    ),
    (
        'HttpResponse(headers={"Content-Type":"x"}, content_type="y")',
        "!ValueError",
    ),
    (
        'HttpResponse(headers={"x":"é☃"})["x"]',
        "'=?utf-8?b?w6nimIM=?='",
    ),
    (
        'repr(HttpResponse("x")), repr(HttpResponseNotAllowed(["GET"])), repr(HttpResponseRedirect("/x y"))',
        (
            "('<HttpResponse status_code=200, \"text/html; charset=utf-8\">', '<HttpResponseNotAllowed [GET"
            '] status_code=405, "text/html; charset=utf-8">\', \'<HttpResponseRedirect status_code=302, "te'
            'xt/html; charset=utf-8", url="/x%20y">\')'
        ),
    ),
    (
        (
            'HttpResponseRedirect("/é?a=b").url, HttpResponseRedirect("/x", preserve_request=True).status'
            '_code, HttpResponsePermanentRedirect("/x", preserve_request=True).status_code'
        ),
        "('/%C3%A9?a=b', 307, 308)",
    ),
    (
        'HttpResponseRedirect("javascript:alert(1)")',
        "!DisallowedRedirect",
    ),
    (
        'JsonResponse({"a":datetime.date(2020,1,1),"b":decimal.Decimal("1.1"),"c":"é"}).content',
        'b\'{"a": "2020-01-01", "b": "1.1", "c": "\\\\u00e9"}\'',
    ),
    (
        "JsonResponse([1])",
        "!TypeError",
    ),
    (
        (
            'JsonResponse([1],safe=False).content, JsonResponse({"a":"é"}, json_dumps_params={"ensure_asc'
            'ii":False}).content'
        ),
        "(b'[1]', b'{\"a\": \"\\xc3\\xa9\"}')",
    ),
    (
        (
            '(lambda r: (r.set_cookie("a","b c",max_age=10,path="/x",domain="d.e",secure=True,httponly=Tr'
            'ue,samesite="Lax"), r.cookies["a"].OutputString().split("expires")[0], sorted(k for k,v in r'
            '.cookies["a"].items() if v))[1:])(HttpResponse())'
        ),
        (
            "('a=\"b c\"; Domain=d.e; ', ['domain', 'expires', 'httponly', 'max-age', 'path', 'sam"
            "esite', 'secure'])"
        ),
    ),
    (
        '(lambda r: (r.delete_cookie("a"), r.cookies.output())[1])(HttpResponse())',
        "'Set-Cookie: a=\"\"; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/'",
    ),
    (
        '(lambda r: (r.delete_cookie("__Host-a", samesite="None"), r.cookies.output())[1])(HttpResponse())',
        (
            '\'Set-Cookie: __Host-a=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite'
            "=None; Secure'"
        ),
    ),
    (
        '(lambda r: (r.set_cookie("a","b",samesite="x"),))(HttpResponse())',
        "!ValueError",
    ),
    (
        (
            '(lambda r: (r.set_cookie("a","b",max_age=datetime.timedelta(hours=1)), r.cookies["a"]["max-a'
            'ge"])[1])(HttpResponse())'
        ),
        "3600",
    ),
    (
        (
            '(lambda r: (r.write("b"), r.content, r.tell(), r.writable(), "content-type" in r, r.get("x",'
            '"d"), r.setdefault("X","1"), r["x"]))(HttpResponse("a"))'
        ),
        "(None, b'ab', 2, True, True, 'd', None, '1')",
    ),
    (
        (
            'b"".join(StreamingHttpResponse(iter(["a",b"b"]))), StreamingHttpResponse(["x"]).getvalue(), '
            'StreamingHttpResponse(["x"]).streaming'
        ),
        "(b'ab', b'x', True)",
    ),
    (
        'StreamingHttpResponse(["x"]).content',
        "!AttributeError",
    ),
    (
        (
            '(lambda r: (r["Content-Length"], r["Content-Type"], r["Content-Disposition"], b"".join(r)))('
            'FileResponse(io.BytesIO(b"abc"), as_attachment=True, filename="a.css"))'
        ),
        "('3', 'text/css', 'attachment; filename=\"a.css\"', b'abc')",
    ),
    (
        (
            '(lambda r: (r["Content-Type"], r.get("Content-Disposition"), r.get("Content-Length")))(FileR'
            'esponse(io.BytesIO(b"abc")))'
        ),
        "('application/octet-stream', None, '3')",
    ),
    (
        '(lambda r: (r["Content-Type"],))(FileResponse(io.BytesIO(b""), filename="x.tar.gz"))',
        "('application/gzip',)",
    ),
    (
        "HttpResponseNotModified().items()",
        "ItemsView({})",
    ),
    (
        "json.dumps([object()], cls=DjangoJSONEncoder)",
        "!TypeError",
    ),
    (
        (
            '(lambda r: (r.POST.dict(), r.content_type, r.method, r.FILES))(rf.post("/x/", {"a":"1","b":['
            '"2","3"]}))'
        ),
        "({'a': '1', 'b': '3'}, 'multipart/form-data', 'POST', <MultiValueDict: {}>)",
    ),
    (
        (
            '(lambda r: (r.POST.dict(), r.body, r.content_type))(rf.post("/x/", {"a":1}, content_type="ap'
            'plication/json"))'
        ),
        "({}, b'{\"a\": 1}', 'application/json')",
    ),
    (
        (
            '(lambda r: (r.POST.dict(), r.body))(rf.post("/x/", "a=1&b=2", content_type="application/x-ww'
            'w-form-urlencoded"))'
        ),
        "({'a': '1', 'b': '2'}, b'a=1&b=2')",
    ),
    (
        (
            '(lambda r: (r.POST.dict(), r.body))(rf.put("/x/", "a=1", content_type="application/x-www-for'
            'm-urlencoded"))'
        ),
        "({}, b'a=1')",
    ),
    (
        (
            '(lambda r: (r.build_absolute_uri("/q/?a=b"), r.build_absolute_uri("rel"), r.build_absolute_u'
            'ri("//h/x"), r.build_absolute_uri("https://a.b/c"), r.build_absolute_uri("../up"), r.get_ful'
            'l_path(force_append_slash=True)))(rf.get("/a/b?x=1", secure=True))'
        ),
        (
            "('https://testserver/q/?a=b', 'https://testserver/a/rel', 'https://h/x', 'https://a.b/c', 'h"
            "ttps://testserver/up', '/a/b/?x=1')"
        ),
    ),
    (
        (
            '(lambda r: (r.accepts("anything/x"), r.headers["Accept"] if "Accept" in r.headers else None,'
            ' r.headers.get("x-foo")))(rf.get("/", headers={"X-Foo":"bar"}))'
        ),
        "(True, None, 'bar')",
    ),
    (
        '(lambda r: (r.read(2), r.body))(rf.post("/", b"abcdef", content_type="text/plain"))',
        "!RawPostDataException",
    ),
    (
        '(lambda r: (setattr(r,"encoding","latin1"), r.GET["x"])[1])(rf.get("/?x=%e9"))',
        "'é'",
    ),
    (
        (
            '(lambda r: r.POST["x"])(rf.post("/", b"x=%e9", content_type="application/x-www-form-urlencod'
            'ed; charset=latin1"))'
        ),
        "!BadRequest",
    ),
    (
        (
            '[list(p.object_list) for p in Paginator(list("abcdefgh"),3,orphans=1)], Paginator([],3).num_'
            "pages, Paginator([],3,allow_empty_first_page=False).num_pages"
        ),
        "([['a', 'b', 'c'], ['d', 'e', 'f'], ['g', 'h']], 1, 0)",
    ),
    (
        (
            "(lambda p: (p.has_next(),p.has_previous(),p.start_index(),p.end_index(),len(p),p[0],p.next_p"
            'age_number(), repr(p)))(Paginator(list("abcdefgh"),3).page(2))'
        ),
        "(True, True, 4, 6, 3, 'd', 3, '<Page 2 of 3>')",
    ),
    (
        'Paginator(list("abc"),2).page("x")',
        "!PageNotAnInteger",
    ),
    (
        'Paginator(list("abc"),2).page(9)',
        "!EmptyPage",
    ),
    (
        'Paginator(list("abc"),2).get_page("x").number, Paginator(list("abc"),2).get_page(99).number',
        "(1, 2)",
    ),
    (
        'Paginator(list("abc"),2).page(2).next_page_number()',
        "!EmptyPage",
    ),
    (
        'module_loading.import_string("os.path.join").__name__',
        "'join'",
    ),
    (
        'module_loading.import_string("nope")',
        "!ImportError",
    ),
    (
        'module_loading.import_string("os.nope")',
        "!ImportError",
    ),
    (
        (
            '(lambda d: (d["a"], d.getlist("a"), d.get("z"), d.getlist("z"), dict(d.lists()), list(d.valu'
            'es()), list(d.items()), d.dict(), d.copy()==d, repr(d)))(datastructures.MultiValueDict({"a":'
            '["1","2"],"b":[]}))'
        ),
        (
            "('2', ['1', '2'], None, [], {'a': ['1', '2'], 'b': []}, ['2', []], [('a', '2'), ('b', [])], "
            "{'a': '2', 'b': []}, True, \"<MultiValueDict: {'a': ['1', '2'], 'b': []}>\")"
        ),
    ),
    (
        (
            '(lambda d: (d.update({"a":"3"}), d.setlistdefault("q",["w"]), d.appendlist("a","4"), d.setde'
            'fault("n"), dict(d.lists()))[-1])(datastructures.MultiValueDict({"a":["1"]}))'
        ),
        "{'a': ['1', '3', '4'], 'q': ['w'], 'n': [None]}",
    ),
    (
        'datastructures.MultiValueDict()["x"]',
        "!MultiValueDictKeyError",
    ),
    (
        (
            '(lambda m: (m["content-type"], "CONTENT-TYPE" in m, list(m), len(m), m=={"content-TYPE":"x"}'
            ', repr(m)))(datastructures.CaseInsensitiveMapping({"Content-Type":"x"}))'
        ),
        "('x', True, ['Content-Type'], 1, True, \"{'Content-Type': 'x'}\")",
    ),
    (
        (
            '(lambda o: (o.x, o.x, type(o).x.__class__.__name__))(type("C",(),{"n":0,"x":functional.cache'
            "d_property(lambda self: [1])})())"
        ),
        "([1], [1], 'cached_property')",
    ),
    (
        "str(functional.SimpleLazyObject(lambda: 5)), functional.SimpleLazyObject(lambda: [1])[0]",
        "('5', 1)",
    ),
    (
        '[[rf.get("/", headers={"Accept": a}).accepts(t) for t in ("text/html", "text/plain")] for a in '
        '("text/html;q=0", "text/html;q=0,*/*;q=0.1", '
        '"text/html;q=0.0001", "text/html;q=7", "text/html;q=x")]',
        "[[False, False], [True, True], [False, False], [True, False], [True, False]]",
    ),
    (
        '[str(m) for m in rf.get("/", headers={"Accept": "a/b;q=0.1,c/d,e/f;q=0,g/h;q=0.5"}).accepted_types]',
        "['c/d', 'g/h; q=0.5', 'a/b; q=0.1']",
    ),
    (
        'html.strip_tags("<" * 50 + "b>" * 50 + "c")',
        "'c'",
    ),
    (
        'html.strip_tags("<" * 51 + "b>" * 51 + "c")',
        "!SuspiciousOperation",
    ),
    (
        '[dateformat.time_format(dt(2026, 1, 2, 3, 4), x) for x in ("H:i", "a", "T", "x", r"\\Y")]',
        "['03:04', 'a.m.', 'CET', 'x', 'Y']",
    ),
    (
        '[dateformat.format(datetime.date(2026, month, 1), "r") for month in (1, 7)]',
        "['Thu, 01 Jan 2026 00:00:00 +0100', 'Wed, 01 Jul 2026 00:00:00 +0200']",
    ),
    (
        'dateformat.format(dt(2026, 7, 1, 3, 4), "r")',
        "'Wed, 01 Jul 2026 03:04:00 +0200'",
    ),
    (
        '[dateformat.format(datetime.time(*time), "c") for time in ((5, 6, 7, 8), (5, 6))]',
        "['05:06:07.000008', '05:06:00']",
    ),
    (
        'formats.date_format(datetime.time(5, 6), "c")',
        "'05:06:00'",
    ),
    (
        '[dateformat.format(dt(2026, month, 1), "O|Z|e|I") for month in (1, 7)]',
        "['+0100|3600||0', '+0200|7200||1']",
    ),
    (
        '[dateformat.format(dt(2026, 1, 1, tzinfo=datetime.timezone.utc), "O|Z|e|I|c")]',
        "['+0000|0|UTC|0|2026-01-01T00:00:00+00:00']",
    ),
    (
        'dateformat.time_format(dt(2026, 7, 1), "O|Z")',
        "'+0200|7200'",
    ),
    (
        'dateformat.format(datetime.date(2026, 7, 1), "I")',
        "''",
    ),
    (
        '[dateformat.time_format(datetime.time(5, 6, tzinfo=x), "O|Z|e|T") for x in (None, UTC)]',
        "['|||', '|||']",
    ),
    (
        'dateformat.format(datetime.time(5, 6), "I")',
        "''",
    ),
    *(
        (expression, "!AttributeError")
        for expression in (
            'dateformat.time_format(dt(2026, 1, 2, 3, 4), "Y")',
            'dateformat.time_format(datetime.time(3, 4), "Y")',
            'dateformat.format(datetime.time(3, 4), "Y")',
            'dateformat.time_format(datetime.time(5, 6), "c")',
            'dateformat.time_format(dt(2026, 7, 1), "c")',
            "formats.date_format(datetime.time(3, 4))",
        )
    ),
]
