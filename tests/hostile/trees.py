"""Folders as an attacker would hand them to the command line; each function fills one."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

__all__ = ["PORTABLE", "TREES", "git"]

PORTABLE = "from channels.layers import get_channel_layer\n"
"""A line that `port` rewrites."""

SLOW = 2**15
"""Characters of what takes time with the square of its length, where it is looked at carelessly."""

ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e"


def good(folder: Path) -> Path:
    """A file of every tree that is as it should be, and is to be looked at whatever lies beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "good.py").write_text(PORTABLE, encoding="utf-8")
    return folder


def file_links(folder: Path) -> None:
    """Links to a file outside, to nothing, in a circle, and to one inside."""
    outside = folder.parent / "outside.py"
    outside.write_text(PORTABLE, encoding="utf-8")
    (folder / "out.py").symlink_to(outside)
    (folder / "nowhere.py").symlink_to(folder / "nothing.py")
    (folder / "circle.py").symlink_to(folder / "circle.py")
    (folder / "inside.py").symlink_to("good.py")
    os.link(outside, folder / "hard.py")


def folder_links(folder: Path) -> None:
    """Links to a folder outside, and to the folder itself."""
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "module.py").write_text(PORTABLE, encoding="utf-8")
    (folder / "out").symlink_to(outside)
    (folder / "again").symlink_to(folder)
    (folder / "package.py").symlink_to(outside)


def pipes(folder: Path) -> None:
    """Named pipes that nobody writes to, where the commands look for files."""
    for name in ("pipe.py", "manage.py", "Procfile", "templates/page.html", ".git"):
        (folder / name).parent.mkdir(exist_ok=True)
        os.mkfifo(folder / name)


def devices(folder: Path) -> None:
    """Links to devices without an end, and a file that is as large as one."""
    (folder / "templates").mkdir()
    for name in ("zero.py", "manage.py", "Procfile", "templates/page.html"):
        (folder / name).symlink_to("/dev/zero")
    for name in ("sparse.py", "templates/sparse.html", "Dockerfile"):
        with (folder / name).open("wb") as file:
            file.truncate(2**40)


def nested_code(folder: Path) -> None:
    """Code that Python's parser, LibCST or a visitor has no stack for."""
    code = {
        "parentheses": "(" * 5000 + "1" + ")" * 5000,
        "lists": "[" * 150 + "]" * 150,
        "attributes": "a" + ".b" * 2500,
        "sum": "1" + "+1" * 900,
        "long_sum": "1" + "+1" * 50_000,
        "signs": "-" * 50_000 + "1",
        "negations": "not " * 900 + "1",
        "ifs": "".join(" " * depth + "if 1:\n" for depth in range(99)) + " " * 99 + "pass",
    }
    for name, text in code.items():
        written = text if name == "ifs" else f"x = (\n{text})\n"
        (folder / f"{name}.py").write_text(PORTABLE + written, encoding="utf-8")


def nested_folders(folder: Path) -> None:
    """A tree that is deeper than Python's stack."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def names(folder: Path) -> None:
    """Names that move the cursor, hide text, begin a command for GitHub, or are no text."""
    for name in (f"a{ESCAPES}.py", "b\n::error file=x::made up.py", "c:1,line=7.py"):
        (folder / name).write_text(f"from channels import nothing_{len(name)}\n{PORTABLE}", encoding="utf-8")
    with open(os.path.join(os.fsencode(folder), b"caf\xe9\x1b.py"), "w") as file:
        file.write(PORTABLE)


def text(folder: Path) -> None:
    """Source with escapes of a terminal on the lines that are shown."""
    line = PORTABLE.rstrip() + f"  # {ESCAPES}\n"
    (folder / "shown.py").write_text(line, encoding="utf-8")
    (folder / "wrong.py").write_text(f"{line}def {ESCAPES}", encoding="utf-8")
    (folder / "Procfile").write_text(f"web: uvicorn main:app --host {ESCAPES}\n", encoding="utf-8")


def codecs(folder: Path) -> None:
    """Codecs that are none for text, and bytes that are not what they say."""
    for number, name in enumerate(("zlib", "undefined", "idna", "hex", "utf-16", "nobody", "rot13", "mbcs")):
        (folder / f"codec{number}.py").write_text(f"# -*- coding: {name} -*-\n{PORTABLE}", encoding="utf-8")
    (folder / "bytes.py").write_bytes(PORTABLE.encode() + b"x = '\xff\x00'\n")


def slow(folder: Path) -> None:
    """What careless expressions and diffs take the square of its length for."""
    (folder / "templates").mkdir()
    lines = ["{{ " * SLOW, "{% " + "a" * SLOW, "{{" + "|" * SLOW, "{%" + " " * SLOW, "{" * SLOW + "%}"]
    (folder / "templates" / "page.html").write_text("\n".join(lines), encoding="utf-8")
    (folder / "uses_django.py").write_text("import django\n" + PORTABLE, encoding="utf-8")
    (folder / "empty.py").write_text("\n" * (8 * SLOW), encoding="utf-8")
    (folder / "manage.py").write_text('"DJANGO_SETTINGS_MODULE"' + " " * (8 * SLOW), encoding="utf-8")
    (folder / "Procfile").write_text("web: uvicorn " + "a" * SLOW, encoding="utf-8")
    (folder / "Dockerfile").write_text("uvicorn \\\n" * SLOW, encoding="utf-8")
    repeated = "".join(f"x = {number % 150}\n" for number in range(SLOW // 8))
    (folder / "repeated.py").write_text(PORTABLE + repeated + PORTABLE, encoding="utf-8")


def repository(folder: Path) -> None:
    """A repository that names a program wherever git may run one; the program leaves a file behind."""
    program = folder.parent / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >>{folder.parent}/was-run\ncat\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    git(folder, "init", "-q")
    (folder / ".gitattributes").write_text("*.py filter=evil diff=evil\n", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    hooks = folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-index-change", "fsmonitor-watchman", "pre-commit", "post-checkout"):
        shutil.copy(program, hooks / hook)
    for option in (
        "core.fsmonitor",
        "filter.evil.clean",
        "filter.evil.process",
        "filter.evil.smudge",
        "diff.evil.textconv",
        "diff.evil.command",
        "diff.external",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "core.askPass",
        "gpg.program",
        "credential.helper",
        "alias.status",
    ):
        git(folder, "config", option, f"!{program}" if option.startswith("alias") else str(program))
    # Same content, another time: git has to compare, and would run the filter.
    os.utime(folder / "good.py", (1, 1))


def git(folder: Path, *arguments: str) -> None:
    """Run git in `folder`, as the attacker who makes the tree."""
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL)


TREES: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (
        file_links,
        folder_links,
        pipes,
        devices,
        nested_code,
        nested_folders,
        names,
        text,
        codecs,
        slow,
        repository,
    )
}
"""By name; each is made in a folder that holds `good()`."""
