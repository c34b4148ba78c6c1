"""The page's files as texts: the classic script, names with a hash, integrity."""

from __future__ import annotations

import base64
import hashlib

import pytest

from compat.client import hashed, integrity
from compat.client.page import NAMES, bare, classic, source


def test_a_classic_script_has_no_exports() -> None:
    script = classic("export class Socket {}\nexport function install() {}\nclass Other {}\n")
    assert "export" not in script
    assert script.splitlines()[:2] == ["(() => {", '"use strict";']
    assert script.splitlines()[-2:] == ["globalThis.Socket = Socket;", "})();"]


@pytest.mark.parametrize(
    "line", ["export default Socket;", "export { Socket };", 'import a from "b";', "export const A = 1;"]
)
def test_what_a_classic_script_cannot_have_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match="cannot have"):
        classic(f"export class Socket {{}}\n{line}\n")


def test_documentation_is_taken_out_and_code_is_not() -> None:
    script = (
        "/**\n * One. * / Two.\n */\n"
        "const a = /** @type {number} */ (1);\n"
        "  /** @param {string} b */\n"
        '  const c = "/** no comment */";\n'
        "  /* why */\n"
        "  // why\n"
        "\n"
        "  \n"
        "  d('// no comment'); // why\n"
    )
    assert bare(script) == (
        "const a=/** @type{number}*/(1);\n"
        'const c="/** no comment */";\n'
        "/* why */\n"
        "d('// no comment');// why\n"
    )


def test_spaces_beside_operators_are_taken_out_and_those_of_texts_are_not() -> None:
    script = (
        """if (a === "b = c" || d) { e = [f, 'g, \\' h', `i ? ${ j } : "k`]; } // don't\n"""
        """else return a + +b - c ? { l: m => (n) } : "x, y";\n"""
    )
    assert bare(script) == (
        """if(a==="b = c"||d){e=[f,'g, \\' h',`i ? ${ j } : "k`];}// don't\n"""
        """else return a + +b - c?{l:m=>(n)}:"x, y";\n"""
    )


def test_private_names_are_short_and_each_has_its_own() -> None:
    script = "this._begin(this._at, snake_case);\nconst { _at, other } = this;\none._begin();\n"
    assert bare(script) == "this.$a(this.$b,snake_case);\nconst{$b,other}=this;\none.$a();\n"
    assert bare("const ACK_MS = 3;\nf(ACK_MS, MARK, Own_x, A.OPEN);\n") == (
        "const $a=3;\nf($a,MARK,Own_x,A.OPEN);\n"
    )
    names = bare(" ".join(f"_a{number}" for number in range(120))).split()
    assert len(set(names)) == 120 and names[51:53] == ["$Z", "$_a"]


def test_four_names_two_files() -> None:
    assert sorted(NAMES) == sorted(["socket.js", "socket.mjs", hashed("socket.js"), hashed("socket.mjs")])
    for name in ("socket.js", "socket.mjs"):
        assert NAMES[hashed(name)] is NAMES[name]
        assert hashed(name).startswith("socket-") and hashed(name).endswith(name.removeprefix("socket"))
    for asked in (hashed, integrity):
        with pytest.raises(KeyError, match=r"no file 'socket\.ts' .*socket\.js, socket\.mjs"):
            asked("socket.ts")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_integrity_is_that_of_the_body(name: str) -> None:
    digest = hashlib.sha384(NAMES[name].body).digest()
    assert integrity(name) == f"sha384-{base64.b64encode(digest).decode()}"


def test_what_is_served_is_the_file_without_its_documentation() -> None:
    assert NAMES["socket.mjs"].body.decode() == bare(source())
    assert NAMES["socket.js"].body.decode() == classic(bare(source()))
    assert len(bare(source())) < len(source())
