"""Bodies of multipart/form-data, each a POST to a page that reads its form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.hostile.corpus import HANGS_UP, Request, http, named

__all__ = ["HEADER_FLOODS", "MULTIPART", "chunked", "posted", "upload"]

KIB, MIB = 1 << 10, 1 << 20


def posted(body: bytes, *lines: str, boundary: str = "b", target: str = "/form/") -> bytes:
    """A POST of that body."""
    return http("POST", target, f"Content-Type: multipart/form-data; boundary={boundary}", *lines, body=body)


def part(head: str | bytes, content: bytes = b"", boundary: str = "b") -> bytes:
    raw = head.encode() if isinstance(head, str) else head
    return b"--" + boundary.encode() + b"\r\n" + raw + b"\r\n\r\n" + content + b"\r\n"


def whole(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


def upload(size: int, content: bytes = b"x") -> bytes:
    """A body with one file of that many bytes."""
    return whole(part('Content-Disposition: form-data; name="f"; filename="big.bin"', content * size))


def chunked(target: str, kind: str, content: bytes, total: int) -> bytes:
    """A POST without Content-Length of `total` bytes in chunks of `content`."""
    head = http("POST", target, f"Content-Type: {kind}", "Transfer-Encoding: chunked")
    chunk = b"%x\r\n%s\r\n" % (len(content), content)
    return head + chunk * (total // len(content)) + b"0\r\n\r\n"


def _semicolons(size: int) -> bytes:
    return whole(part(b'Content-Disposition: form-data; name="a"' + b";" * size))


def _quotes(size: int) -> bytes:
    return whole(part(b"Content-Disposition: form-data; name=" + b'"' * size))


def _open_quote(size: int) -> bytes:
    return whole(part(b'Content-Disposition: form-data; name="' + b";a=" * (size // 3)))


def _escapes(size: int) -> bytes:
    return whole(part(b'Content-Disposition: form-data; name="' + b'\\"' * (size // 2) + b'"'))


def _parameters(size: int) -> bytes:
    return whole(part(b'Content-Disposition: form-data; name="a"' + b"; x=y" * (size // 5)))


def _continuations(size: int) -> bytes:
    lines = b"".join(b"; filename*%d*=utf-8''%%41" % number for number in range(size // 24))
    return whole(part(b'Content-Disposition: form-data; name="a"' + lines))


def _folded(size: int) -> bytes:
    return whole(part(b'Content-Disposition: form-data; name="a"' + b"\r\n " * (size // 3)))


def _headers(size: int) -> bytes:
    return whole(part(b'Content-Disposition: form-data; name="a"\r\n' + b"A: b\r\n" * (size // 6)))


def _one_header(size: int) -> bytes:
    return whole(part(b'Content-Disposition: form-data; name="a"\r\nX: ' + b"y" * size))


def _comments(size: int) -> bytes:
    return whole(part(b'Content-Disposition: form-data; name="a"; filename=' + b"(" * size))


HEADER_FLOODS: dict[str, Callable[[int], bytes]] = {
    "semicolons": _semicolons,
    "quotes": _quotes,
    "open quote": _open_quote,
    "escapes": _escapes,
    "parameters": _parameters,
    "continuations": _continuations,
    "folded lines": _folded,
    "many headers": _headers,
    "one long header": _one_header,
    "comments": _comments,
}
"""Headers of a part, of a given size: the parser must not take quadratic time."""

FLOODED = "stopped the loop for 3 s at 64 KiB and 39 s at 256 KiB: quadratic in the part's headers"

MULTIPART = named(
    [
        *(
            Request(
                name=f"multipart {name} {size // KIB} KiB",
                once=FLOODED,
                data=partial(lambda flood, size: posted(flood(size)), flood, size),
                heavy=size > 64 * KIB,
            )
            for name, flood in HEADER_FLOODS.items()
            for size in (64 * KIB, 256 * KIB)
        ),
        Request(
            name="multipart flood at a page that only checks the CSRF token",
            once=FLOODED,
            data=lambda: posted(_semicolons(64 * KIB), target="/"),
        ),
        Request(
            name="multipart without end",
            once="ends before the closing boundary",
            data=lambda: posted(part('Content-Disposition: form-data; name="a"', b"x" * 1000)),
        ),
        Request(
            name="multipart without end of headers",
            once="a part that is all head",
            data=lambda: posted(b"--b\r\nContent-Disposition: form-data; name=" + b"x" * 100_000),
        ),
        Request(
            name="multipart of boundaries only",
            once="65,536 empty parts",
            data=lambda: posted(b"--b\r\n" * 65536 + b"--b--\r\n"),
        ),
        Request(
            name="multipart of nearly boundaries",
            once="each byte could begin a boundary",
            data=lambda: posted(
                whole(part('Content-Disposition: form-data; name="a"; filename="f"', b"\r\n--" * 300_000))
            ),
        ),
        Request(
            name="multipart of carriage returns",
            once="each byte could begin a line",
            data=lambda: posted(
                whole(part('Content-Disposition: form-data; name="a"; filename="f"', b"\r" * 1_000_000))
            ),
        ),
        Request(
            name="multipart preamble of a MiB",
            once="what is before the first boundary says nothing",
            data=lambda: posted(b"x" * MIB + b"\r\n" + whole()),
        ),
        Request(
            name="multipart epilogue of a MiB",
            once="what is after the last boundary says nothing",
            data=lambda: posted(whole(part('Content-Disposition: form-data; name="a"', b"1")) + b"x" * MIB),
        ),
        Request(
            name="multipart 1,001 fields",
            once="one more than DATA_UPLOAD_MAX_NUMBER_FIELDS",
            data=lambda: posted(
                whole(*(part(f'Content-Disposition: form-data; name="a{n}"', b"1") for n in range(1001)))
            ),
            statuses=(400, 413),
        ),
        Request(
            name="multipart 101 files",
            once="one more than DATA_UPLOAD_MAX_NUMBER_FILES",
            data=lambda: posted(
                whole(
                    *(
                        part(f'Content-Disposition: form-data; name="a{n}"; filename="f"', b"1")
                        for n in range(101)
                    )
                )
            ),
            statuses=(400, 413),
        ),
        Request(
            name="multipart field over the limit",
            once="one field of 3 MiB passed DATA_UPLOAD_MAX_MEMORY_SIZE",
            data=lambda: posted(whole(part('Content-Disposition: form-data; name="a"', b"x" * (3 * MIB)))),
            statuses=(400, 413),
        ),
        Request(
            name="multipart fields over the limit together",
            once="32 fields of 100 KiB each passed DATA_UPLOAD_MAX_MEMORY_SIZE",
            data=lambda: posted(
                whole(
                    *(
                        part(f'Content-Disposition: form-data; name="a{n}"', b"x" * (100 * KIB))
                        for n in range(32)
                    )
                )
            ),
            statuses=(400, 413),
        ),
        Request(
            name="multipart names over the limit",
            once="the names count as well",
            data=lambda: posted(
                whole(*(part(f'Content-Disposition: form-data; name="{"x" * 5000}{n}"') for n in range(600)))
            ),
        ),
        *(
            Request(
                name=f"multipart boundary {name}",
                once="a boundary that none may be",
                data=partial(
                    lambda value: http(
                        "POST",
                        "/form/",
                        b"Content-Type: multipart/form-data; boundary=" + value,
                        body=b"--\r\n",
                    ),
                    value,
                ),
                statuses=(HANGS_UP, *range(200, 500)),
            )
            for name, value in {
                "empty": b"",
                "quoted empty": b'""',
                "long": b"b" * 4000,
                "of latin-1": b"\xe9",
                "of NUL": b'"a\x00b"',
                "with a quote": b'"a\\"b"',
                "encoded": b"; boundary*=utf-8''%C3%A9",
                "encoded broken": b"; boundary*=nothing''%ff",
                "continued": b"; boundary*0=a; boundary*1=b",
                "continued out of order": b"; boundary*1=a; boundary*x=b",
            }.items()
        ),
        *(
            Request(
                name=f"multipart charset {charset}",
                once="a charset that decodes no text, or none at all",
                data=partial(
                    lambda charset: http(
                        "POST",
                        "/form/",
                        f"Content-Type: multipart/form-data; boundary=b; charset={charset}",
                        body=whole(part('Content-Disposition: form-data; name="\xe9"', b"\xff%41")),
                    ),
                    charset,
                ),
            )
            for charset in ("zlib", "idna", "undefined", "rot13", "utf-16", "punycode", "\xe9", "x" * 3000)
        ),
        *(
            Request(
                name=f"multipart head {name}",
                once="a head that says something odd of its part",
                data=partial(lambda head: posted(whole(part(head, b"1"))), head),
            )
            for name, head in {
                "without name": b"Content-Disposition: form-data",
                "name twice": b'Content-Disposition: form-data; name="a"; name="b"',
                "no disposition": b"Content-Type: text/plain",
                "disposition twice": b'Content-Disposition: form-data; name="a"\r\n'
                b'Content-Disposition: form-data; name="b"',
                "attachment": b'Content-Disposition: attachment; name="a"',
                "encoded name": b"Content-Disposition: form-data; name*=utf-8''%C3%A9",
                "encoded name broken": b"Content-Disposition: form-data; name*=utf-8''%ff%",
                "name in unknown charset": b"Content-Disposition: form-data; name*=nothing''%41",
                "name in zlib": b"Content-Disposition: form-data; name*=zlib''%41",
                "file name of NUL": b'Content-Disposition: form-data; name="a"; filename="\x00"',
                "file name of dots": b'Content-Disposition: form-data; name="a"; filename="../../etc/passwd"',
                "file name of backslashes": b'Content-Disposition: form-data; name="a"; filename="C:\\\\x"',
                "file name of 5,000": b'Content-Disposition: form-data; name="a"; filename="'
                + b"x" * 5000
                + b'"',
                "file name not UTF-8": b'Content-Disposition: form-data; name="a"; filename="\xff\xfe"',
                "file name encoded in zlib": b'Content-Disposition: form-data; name="a"; '
                b"filename*=zlib''%41",
                "colon": b":",
                "no colon": b"nothing",
                "NUL in a header's name": b'Content-Disposition: form-data; name="a"\r\nX\x00Y: 1',
                "base64": b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64',
                "base64 file": b'Content-Disposition: form-data; name="a"; filename="f"\r\n'
                b"Content-Transfer-Encoding: base64",
                "type with NUL": b'Content-Disposition: form-data; name="a"; filename="f"\r\n'
                b"Content-Type: text/\x00; charset=\xff",
                "multipart/mixed": b'Content-Disposition: form-data; name="a"\r\n'
                b"Content-Type: multipart/mixed; boundary=c",
            }.items()
        ),
    ]
)
