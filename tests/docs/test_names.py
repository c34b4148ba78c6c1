"""Names and tables of the pages: what is mentioned exists, and defaults are as shown."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat.manager import ConnectionManager, WSConfig
from compat.prometheus import OF_RESUMABLE, PER_LAYER, PER_PROCESS
from compat.settings import DEFAULTS
from tests.docs.pages import DOCS, PAGES
from tests.support.environments import Environment
from tests.support.paths import REPO


def names() -> list[str]:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return sorted({name for name in re.findall(r"`((?:compat|django_shim)(?:\.\w+)+)[`(]", text)})


LOOK_UP = """
import importlib, sys

def look_up(name):
    module, attributes = name, []
    while module:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and not error.name.startswith(("compat", "django_shim")):
                return "needs more"
            module, _, attribute = module.rpartition(".")
            attributes.insert(0, attribute)
        else:
            for attribute in attributes:
                found = getattr(found, attribute)
            return "there"
    return "missing"

for name in sys.argv[1:]:
    try:
        print(name, look_up(name))
    except AttributeError as error:
        print(name, error)
"""
"""Run apart: some modules of the shim take imports over as soon as they are imported."""


def test_the_names_that_are_mentioned_exist(bare: Environment, tmp_path: Path) -> None:
    mentioned = names()
    done = bare.run("python", "-c", LOOK_UP, *mentioned, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert set(found) == set(mentioned)
    more = {name for name, outcome in found.items() if outcome == "needs more" and in_its_source(name)}
    assert {name: found[name] for name in set(found) - more if found[name] != "there"} == {}


def in_its_source(name: str) -> bool:
    """Whether what cannot be imported here, for want of Django, is a module or in the source of one."""
    if (REPO / f"{name.replace('.', '/')}.py").exists():
        return True
    module, _, attribute = name.rpartition(".")
    source = (REPO / f"{module.replace('.', '/')}.py").read_text("utf-8")
    return re.search(rf"\b{attribute}\b", source) is not None


def test_the_settings() -> None:
    text = (DOCS / "reference" / "settings.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", text, re.M))
    cookies = {name for name in DEFAULTS if name.startswith("SESSION_COOKIE_")} - {"SESSION_COOKIE_NAME"}
    assert set(rows) == set(DEFAULTS) - cookies
    for name, shown in rows.items():
        assert shown.replace('"', "'") == repr(DEFAULTS[name]), name


def test_the_metrics() -> None:
    text = (DOCS / "channel-layers.md").read_text("utf-8")
    table = "\n".join(
        line.partition(" |")[0] for line in text.splitlines() if line.startswith("| `channels_")
    )
    shown, whole = set(), ""
    for name in re.findall(r"`(channels_\w+|…_\w+)`", table):
        # `…_bytes_total` after `channels_layer_history_recorded_total` has another end
        whole = whole.removesuffix("_total").rpartition("_")[0] + name[1:] if name[0] == "…" else name
        shown.add(whole)
    groups = {"": PER_PROCESS, "layer_": PER_LAYER, "resumable_": OF_RESUMABLE}
    for group, reads in groups.items():
        assert {f"channels_{group}{one.name}{'_total' * one.counts}" for one in reads} - shown == set()


def test_the_settings_of_the_manager() -> None:
    text = (DOCS / "manager.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^|`]+?)`? \|", text, re.M))
    assert set(rows) == set(WSConfig.model_fields)
    for name, shown in rows.items():
        if name != "SERVER_INSTANCE_ID":
            assert str(getattr(WSConfig(), name)).lower() == shown.lower(), name


def test_the_methods_of_the_manager() -> None:
    text = (DOCS / "manager.md").read_text("utf-8")
    method = r"(?:count|list|get|send|join|leave|disconnect)_\w+"
    for name in re.findall(rf"`(?:await )?(?:manager\.)?({method})[`(]", text):
        if name not in ("get_manager", "send_json"):
            assert hasattr(ConnectionManager, name), name


@pytest.mark.parametrize("page", [REPO / "README.md", REPO / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_of_what_is_read_outside_of_the_site(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


FOLDERS = "compat|django_shim|docs|examples|scripts|tests|bench"
A_PATH = re.compile(rf"(?<![\w./-])((?:{FOLDERS})/[\w./*-]*\w)")
A_TEST = re.compile(r"\btest_\w+(?!\w|\*|[./]\w)")


def prose() -> Iterator[tuple[str, str]]:
    """Every file with prose, and that: docstrings and comments of Python, all of the others."""
    files = [path for folder in FOLDERS.split("|") for path in sorted((REPO / folder).rglob("*"))]
    for path in [*REPO.glob("*"), *files]:
        if path.suffix == ".py":
            yield str(path.relative_to(REPO)), python_prose(path)
        elif path.is_file() and (path.suffix in (".md", ".toml", ".yml") or path.parent.name == "scripts"):
            yield str(path.relative_to(REPO)), path.read_text(encoding="utf-8")


def python_prose(path: Path) -> str:
    source = path.read_text(encoding="utf-8")
    # A statement that is a string: a docstring, or the text below an attribute.
    strings = [
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return "\n".join(str(string) for string in strings) + "\n".join(re.findall(r"#.*", source))


def test_faults_tests_sentences_name_files_and_tests_that_exist() -> None:
    tests = {
        name
        for path in (REPO / "tests").rglob("*.py")
        for name in [path.stem, *re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))]
    }
    wrong = []
    for file, text in prose():
        for name in A_PATH.findall(text):
            if not any(REPO.glob(name)) and not any(REPO.glob(f"{name}*.py")):
                wrong.append(f"{file}: {name}")
        for name in A_TEST.findall(text) if file.startswith(("tests/", "compat/", "django_shim/")) else ():
            if not any(test.startswith(name) for test in tests):
                wrong.append(f"{file}: {name}")
    assert wrong == []
