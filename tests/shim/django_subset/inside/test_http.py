"""Requests that carry forms and files, and responses that stream."""

from __future__ import annotations

import datetime
import encodings
import io
import os
from pathlib import Path

import pytest
from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    SuspiciousFileOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.files import File
from django.core.files.uploadedfile import InMemoryUploadedFile, SimpleUploadedFile, UploadedFile
from django.http import (
    BadHeaderError,
    FileResponse,
    HttpRequest,
    HttpResponse,
    QueryDict,
    RawPostDataException,
    StreamingHttpResponse,
)
from django.http.media_type import parse_content_type
from django.http.multipartparser import MultiPartParserError, parse_multipart
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

factory = RequestFactory()


def test_a_form_with_files() -> None:
    upload = SimpleUploadedFile(
        "C:\\fakepath\\a.txt", b"\r\n--not a boundary\r\n\x00\xff", "text/x-own; charset=latin1"
    )
    request = factory.post("/", {"name": "é", "tags": ["a", "b"], "file": upload, "empty": ""})
    assert dict(request.POST.lists()) == {"name": ["é"], "tags": ["a", "b"], "empty": [""]}
    file = request.FILES["file"]
    assert (file.name, file.size, file.content_type, file.charset) == ("a.txt", 22, "text/x-own", "latin1")
    assert file.read() == b"\r\n--not a boundary\r\n\x00\xff"
    assert b"".join(file.chunks(5)) == upload.file.getvalue() and file.multiple_chunks(5)
    with file.open() as again:
        assert next(iter(again)) == b"\r\n" and bool(file) and len(file) == 22 and str(file) == "a.txt"
    request.close()
    assert file.closed


def test_files_by_hand(tmp_path: Path) -> None:
    """As with Django 5.2."""
    made = InMemoryUploadedFile(io.BytesIO(b"abc"), "field", "../a.txt", "text/plain", 7, "utf-8", {"x": "y"})
    assert (made.field_name, made.name, made.size, made.read()) == ("field", "a.txt", 7, b"abc")
    assert (made.content_type, made.charset, made.content_type_extra) == ("text/plain", "utf-8", {"x": "y"})
    assert UploadedFile(io.BytesIO(b"abc"), "a", size=2).size == 2
    assert SimpleUploadedFile("a", b"abc").size == 3
    request = factory.post("/", {"picture": SimpleUploadedFile("a.png", b"abc")})
    assert request.FILES["picture"].field_name == "picture"
    for mode, writable in (("wb", True), ("rb+", True), ("r+b", True), ("ab", True), ("rb", False)):
        with File(Path(tmp_path / "a").open(mode)) as file:
            assert file.writable() is writable, mode


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../a.txt", ["a.txt"]),
        ("..\\..\\a.txt", ["a.txt"]),
        ("C:\\fakepath\\a.txt", ["a.txt"]),
        ("&#46;&#46;&#47;a.txt", ["a.txt"]),
        ("..", []),
        ("a/..", []),
        (".", []),
    ],
)
def test_a_file_that_a_client_sends_has_a_name_without_folders(sent: str, kept: list[str]) -> None:
    """What leads to no name is left out, as with Django."""
    part = f'--x\r\nContent-Disposition: form-data; name="f"; filename="{sent}"\r\n\r\ncontent\r\n--x--\r\n'
    request = factory.generic("POST", "/", part, "multipart/form-data; boundary=x")
    assert [file.name for file in request.FILES.getlist("f")] == kept


def test_a_name_never_leads_out_of_its_folder() -> None:
    """As with Django 5.2, also where the project assigns what a client has sent."""
    upload = SimpleUploadedFile("a.txt", b"abc")
    upload.name = "../../etc/passwd"
    assert upload.name == "passwd"
    upload.name = f"a.{'x' * 300}"
    assert upload.name == f".{'x' * 254}"
    upload.name = f"{'n' * 300}.txt"
    assert upload.name == f"{'n' * 251}.txt"
    for name in ("..", "a/..", ".", "a/", ""):
        with pytest.raises(SuspiciousFileOperation, match="names no file"):
            upload.name = name
        with pytest.raises(SuspiciousFileOperation, match="names no file"):
            SimpleUploadedFile(name, b"abc")
    assert upload.name == f"{'n' * 251}.txt"
    upload.name = None
    assert upload.name is None and not upload


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n\0'), min_size=1),
            st.text(st.characters(codec="utf-8")),
        )
    )
)
def test_every_form_arrives_as_it_was_sent(fields: list[tuple[str, str]]) -> None:
    form: dict[str, list[str]] = {}
    for name, value in fields:
        form.setdefault(name.strip() or "x", []).append(value)
    # Names that a header cannot carry untouched are the sender's problem.
    form = {name: values for name, values in form.items() if name.isprintable() and name.isascii()}
    request = factory.post("/", form)
    assert dict(request.POST.lists()) == form


@given(st.binary())
def test_every_file_arrives_as_it_was_sent(content: bytes) -> None:
    request = factory.post("/", {"f": SimpleUploadedFile("f", content)})
    assert request.FILES["f"].read() == content


@pytest.mark.parametrize(
    ("body", "boundary", "message"),
    [
        (b"--x\r\nContent-Disposition form-data; name=a\r\n--x--", "x", "Invalid multipart data"),
        (b"--x\r\nContent-Type: text/plain\r\n\r\nno name\r\n--x--\r\n", "x", "must be provided"),
        (b"anything", "x", "Invalid multipart data"),
        (b"anything", "", "Invalid boundary"),
        (b"anything", "é", "Invalid boundary"),
    ],
)
def test_a_broken_form_is_a_bad_request(body: bytes, boundary: str, message: str) -> None:
    request = factory.generic("POST", "/", body, f"multipart/form-data; boundary={boundary}")
    with pytest.raises(MultiPartParserError, match=message):
        _ = request.POST
    assert not request.POST and not request.FILES  # for the page that tells of the error


def test_many_files_open_few_descriptors() -> None:
    """Also beside one that makes the body too large to be kept in memory."""
    start = "--b\r\nContent-Disposition: form-data; name=f; filename="
    parts = [f'{start}"large"\r\n\r\n' + "x" * 3_000_000, *[f'{start}""\r\n\r\nxx'] * 900]
    parts += [f'{start}"small"\r\n\r\nxx'] * 90
    body = io.BytesIO(("\r\n".join([*parts, "--b--\r\n"])).encode())
    before = len(os.listdir("/proc/self/fd"))
    form = parse_multipart(body, "b")
    assert len(os.listdir("/proc/self/fd")) - before < 5
    post, files = form.decoded(None)
    assert len(files.getlist("f")) == 91 and post.getlist("f") == ["xx"] * 900
    form.close()


def test_a_client_names_charsets_only() -> None:
    for name in ("utf-8", "UTF8", "latin-1", "ISO-8859-1", "koi8-u", "windows-1252", "Shift_JIS"):
        assert factory.get("/", CONTENT_TYPE=f"text/plain; charset={name}").encoding == name
    for name in ("punycode", "idna", "undefined", "base64", "rot13", "unicode_escape", "utf--8", "x" * 5_000):
        assert factory.get("/", CONTENT_TYPE=f"text/plain; charset={name}").encoding is None, name
    assert parse_content_type("a/b; c*=latin-1'en'%e9")[1] == {"c": "é"}
    assert parse_content_type("a/b; c*=punycode''a-")[1] == {"c": "punycode''a-"}


def test_names_of_charsets_are_not_kept() -> None:
    before = len(encodings._cache)
    for number in range(100):
        factory.get("/", CONTENT_TYPE=f"text/plain; charset=none-{number}; a*=none-{number}''a")
    assert len(encodings._cache) == before


def test_an_empty_form() -> None:
    empty = factory.generic("POST", "/", b"", "multipart/form-data; boundary=x")
    assert dict(empty.POST) == {}


def test_a_file_field_without_a_file_is_an_empty_field() -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename=""\r\n\r\n\r\n'
        b'--x\r\nContent-Disposition: form-data; name="g"; filename="/"\r\n\r\nno name is left\r\n'
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\nepilogue'
    )
    request = factory.generic("POST", "/", body, "multipart/form-data; boundary=x")
    assert dict(request.POST.lists()) == {"f": [""], "a": ["1"]} and not request.FILES


def test_limits_of_forms() -> None:
    with override_settings(DATA_UPLOAD_MAX_NUMBER_FIELDS=1):
        with pytest.raises(TooManyFieldsSent):
            _ = factory.post("/", {"a": ["1", "2"]}).POST
        with pytest.raises(TooManyFieldsSent):
            QueryDict("a=1&b=2")
    with override_settings(DATA_UPLOAD_MAX_NUMBER_FILES=1), pytest.raises(TooManyFilesSent):
        _ = factory.post("/", {"a": [SimpleUploadedFile("x", b""), SimpleUploadedFile("y", b"")]}).FILES
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        with pytest.raises(RequestDataTooBig):
            _ = factory.post("/", {"a": "x" * 20}).POST
        with pytest.raises(RequestDataTooBig):
            _ = factory.post("/", b"x" * 20, content_type="text/plain").body
        assert factory.post("/", {"a": SimpleUploadedFile("x", b"x" * 20)}).FILES["a"].size == 20


def test_the_body_is_read_once_or_kept() -> None:
    request = factory.post("/", b"a=1", content_type="application/x-www-form-urlencoded")
    assert request.POST["a"] == "1" and request.body == b"a=1" and request.read() == b"a=1"
    streamed = factory.post("/", b"a=1", content_type="application/x-www-form-urlencoded")
    streamed.read()
    assert dict(streamed.POST) == {}
    with pytest.raises(RawPostDataException):
        _ = streamed.body


def test_hosts() -> None:
    def host(value: str, **extra: str) -> str:
        return factory.get("/", HTTP_HOST=value, **extra).get_host()

    assert host("a.example.com:80") == "a.example.com:80"
    for bad, message in [
        ("evil.org", "ALLOWED_HOSTS does not list 'evil.org'"),
        ("a b", "no host name"),
        ("x@y", "no host name"),
        ("a.example.com\n", "no host name"),
        ("a.example.com:80\n", "no host name"),
        ("[1]", "no host name"),
    ]:
        with pytest.raises(DisallowedHost, match=message):
            host(bad)
    with override_settings(ALLOWED_HOSTS=[], DEBUG=True):
        assert [host(h) for h in ("localhost:1", "a.localhost", "127.0.0.1", "[::1]:8000")]
        with pytest.raises(DisallowedHost):
            host("testserver")
    with override_settings(ALLOWED_HOSTS=[]), pytest.raises(DisallowedHost):
        host("localhost")
    with override_settings(USE_X_FORWARDED_HOST=True, USE_X_FORWARDED_PORT=True):
        request = factory.get("/", HTTP_X_FORWARDED_HOST="b.example.com", HTTP_X_FORWARDED_PORT="81")
        assert (request.get_host(), request.get_port()) == ("b.example.com", "81")
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        assert factory.get("/", HTTP_X_FORWARDED_PROTO="https").is_secure()
        assert not factory.get("/", HTTP_X_FORWARDED_PROTO="http", secure=True).is_secure()
        assert factory.get("/", secure=True).is_secure()


def test_a_host_without_a_header_is_the_servers_name() -> None:
    request = factory.get("/")
    del request.META["HTTP_HOST"]
    assert request.get_host() == "testserver"
    request.META["SERVER_PORT"] = "8000"
    assert request.get_host() == "testserver:8000"


def test_a_path_with_two_slashes_does_not_lead_to_another_host() -> None:
    request = factory.get("/x")
    request.path = "//evil.org/x"
    assert request.build_absolute_uri() == "http://testserver//evil.org/x"


def test_a_request_made_by_hand() -> None:
    request = HttpRequest()
    request.method, request.path, request.META = "GET", "/a/", {"HTTP_X_A": "1", "CONTENT_TYPE": "text/plain"}
    request.GET["a"] = "1"
    assert request.headers["x-a"] == "1" and request.headers["Content_Type"] == "text/plain"
    assert repr(request) == "<HttpRequest: GET '/a/'>"
    request.POST = {"b": "2"}
    assert request.POST == {"b": "2"} and not request.FILES


async def test_streams_can_be_read_from_both_sides() -> None:
    async def pieces():
        yield "a"
        yield b"b"

    assert [piece async for piece in StreamingHttpResponse(pieces())] == [b"a", b"b"]
    assert [piece async for piece in StreamingHttpResponse(["a", "é"])] == [b"a", "é".encode()]
    wrapped = StreamingHttpResponse(pieces())
    assert [piece async for piece in wrapped.streaming_content] == [b"a", b"b"]


async def test_a_stream_can_be_wrapped() -> None:
    async def pieces():
        yield "a"
        yield b"b"

    async def louder(content):
        async for piece in content:
            yield piece.upper()

    response = StreamingHttpResponse(pieces())
    response.streaming_content = louder(response.streaming_content)
    assert [piece async for piece in response] == [b"A", b"B"]
    plain = StreamingHttpResponse(["a", "b"])
    plain.streaming_content = (piece.upper() for piece in plain.streaming_content)
    assert [piece async for piece in plain] == [b"A", b"B"]
    mixed = StreamingHttpResponse(["a", "b"])
    mixed.streaming_content = louder(aiter(mixed))
    assert [piece async for piece in mixed] == [b"A", b"B"]


def test_an_async_stream_is_collected_for_a_sync_reader() -> None:
    async def pieces():
        yield "a"
        yield "b"

    assert list(StreamingHttpResponse(pieces())) == [b"a", b"b"]


def test_what_a_response_holds_is_closed_with_it() -> None:
    file = io.BytesIO(b"abc")
    response = FileResponse(file)
    assert response.getvalue() == b"abc"
    response.close()
    assert file.closed and response.closed
    generator = (piece for piece in ["a"])
    StreamingHttpResponse(generator).close()
    with pytest.raises(StopIteration):
        next(generator)


def test_responses_are_written_to_as_files_are() -> None:
    response = HttpResponse()
    response.writelines(["a", "é"])
    assert response.getvalue() == "aé".encode() and list(response) == [b"", b"a", "é".encode()]
    assert response.text == "aé" and response.tell() == 3
    with pytest.raises(OSError, match="cannot be written to"):
        StreamingHttpResponse().write("x")
    with pytest.raises(OSError, match="has no position"):
        StreamingHttpResponse().tell()
    with pytest.raises(AttributeError, match=r"HttpResponse\.set_signed_cookie needs the real Django"):
        response.set_signed_cookie("a", "b")
    assert not hasattr(response, "serialize") and not hasattr(response, "nonsense")
    del response["nope"], response["content-type"]
    assert "Content-Type" not in response and response.charset == "utf-8"
    response.charset = "latin-1"
    response.content = "é"
    assert response.content == b"\xe9"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_header_is_one_line(end: str) -> None:
    response = HttpResponse()
    for name, value in (("X-A", f"a{end}Set-Cookie: b=c"), (f"X-A: a{end}Set-Cookie", "b=c")):
        with pytest.raises(BadHeaderError):
            response[name] = value


def test_cookies_of_a_response() -> None:
    response = HttpResponse()
    in_an_hour = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    response.set_cookie("a", "b", expires=in_an_hour, samesite="none", secure=True)
    assert 3590 < response.cookies["a"]["max-age"] <= 3601
    with pytest.raises(ValueError, match="samesite"):
        response.set_cookie("a", samesite="whatever")
