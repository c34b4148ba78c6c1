"""The references of a file, read from its syntax tree: imports, their uses, and dotted names in strings.

``When`` is the time when a reference is resolved: during the import of the module, during a call, or never
(for type checkers).
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from compat.cli.porting.sources import NotRead, read

__all__ = ["Import", "References", "Text", "Use", "When", "parsed", "references", "references_of"]

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
MAY_FAIL = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


class When(str, Enum):
    """The time when a reference is resolved."""

    imported = "imported"
    called = "called"
    never = "never"


class Import(NamedTuple):
    """``import module`` (``name`` is None), or one name of ``from module import name``, which may be ``*``.

    ``level`` counts the dots of a relative import. ``guarded``: inside a ``try`` that handles a failed
    import.
    """

    line: int
    module: str
    name: str | None
    level: int
    when: When
    guarded: bool


class Use(NamedTuple):
    """A use of an imported name, as its full dotted path: ``django.db.models.Model``."""

    line: int
    path: str
    when: When


class Text(NamedTuple):
    """A string that may be a dotted name.

    ``setting``: the upper-case name that it is assigned to. ``key``: its key in a dict. ``call``: the
    function whose argument it is. Each is "" if there is none.
    """

    line: int
    value: str
    setting: str
    key: str
    call: str
    when: When


class References(NamedTuple):
    """The references of a file; ``error`` if it cannot be parsed, ``unread`` if it is not read."""

    imports: tuple[Import, ...] = ()
    uses: tuple[Use, ...] = ()
    texts: tuple[Text, ...] = ()
    settings: frozenset[str] = frozenset()
    lines: int = 0
    error: tuple[int, str] | None = None
    unread: str = ""


def references(path: Path) -> References:
    """Return the references of the file at ``path``."""
    try:
        return references_of(read(path))
    except NotRead as error:
        return References(unread=str(error))


def references_of(source: bytes) -> References:
    """Return the references of the text of a file."""
    try:
        reader = _Reader(parsed(source))
    except (RecursionError, MemoryError):
        return References(unread="its code is nested too deeply")
    except Exception as error:  # noqa: BLE001 - the codec that a file names may raise any error
        return References(error=(getattr(error, "lineno", None) or 1, str(error)))
    return References(
        tuple(reader.imports),
        tuple(reader.uses),
        tuple(reader.texts),
        frozenset(reader.settings),
        source.count(b"\n") + 1,
    )


def parsed(source: bytes) -> ast.Module:
    """Return the syntax tree of ``source``; raises the errors of Python's parser and codecs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in strings
        return ast.parse(source)


def _bindings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that imports bind anywhere in the file, and the dotted paths that they refer to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (first, first)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


class _Reader(ast.NodeVisitor):
    def __init__(self, tree: ast.Module) -> None:
        self.imports: list[Import] = []
        self.uses: list[Use] = []
        self.texts: list[Text] = []
        self.settings: set[str] = set()
        self._bound = dict(_bindings(tree))
        self._when = When.imported
        self._guarded = False
        self._setting = self._key = self._call = ""
        self.visit(tree)

    @contextmanager
    def _in(self, **state: Any) -> Iterator[None]:
        before = {name: getattr(self, f"_{name}") for name in state}
        for name, value in state.items():
            setattr(self, f"_{name}", value)
        yield
        for name, value in before.items():
            setattr(self, f"_{name}", value)

    def _all(self, nodes: list[Any]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    # Imports

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imports.append(Import(node.lineno, alias.name, None, 0, self._when, self._guarded))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            line = getattr(alias, "lineno", node.lineno)
            self.imports.append(
                Import(line, node.module or "", alias.name, node.level, self._when, self._guarded)
            )

    # When

    def visit_If(self, node: ast.If) -> None:
        test = ast.unparse(node.test)
        when = self._when
        if test.endswith("TYPE_CHECKING"):
            when = When.never
        elif test.startswith("__name__ =="):
            when = When.called
        self.visit(node.test)
        with self._in(when=when):
            self._all(node.body)
        self._all(node.orelse)

    def visit_Try(self, node: ast.Try) -> None:
        with self._in(guarded=self._guarded or any(map(_takes_import_errors, node.handlers))):
            self._all(node.body)
        self._all([*node.handlers, *node.orelse, *node.finalbody])

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        # Annotations do not count.
        self._all([*node.decorator_list, *node.args.defaults, *node.args.kw_defaults])
        with self._in(when=When.called if self._when is When.imported else self._when):
            self._all(node.body)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._all([*node.args.defaults, *node.args.kw_defaults])
        with self._in(when=When.called if self._when is When.imported else self._when):
            self.visit(node.body)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            with self._in(setting=_setting([node.target])):
                self.visit(node.value)

    # Uses

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and node.id in self._bound:
            self.uses.append(Use(node.lineno, self._bound[node.id], self._when))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts = [node.attr]
        inner: ast.expr = node.value
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            self.visit(inner)
        elif inner.id in self._bound:
            path = ".".join([self._bound[inner.id], *reversed(parts)])
            self.uses.append(Use(node.lineno, path, self._when))

    # Strings

    def visit_Assign(self, node: ast.Assign) -> None:
        setting = _setting(node.targets)
        if setting and self._when is When.imported:
            self.settings.add(setting)
        with self._in(setting=setting or self._setting):
            self.visit(node.value)
        self._all([target for target in node.targets if not isinstance(target, ast.Name)])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        with self._in(setting=_setting([node.target]) or self._setting):
            self.visit(node.value)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
            if key is not None and not name:
                self.visit(key)
            # A dict may hold settings: override_settings(**{"CHANNEL_LAYERS": …}).
            setting = name if name.isupper() and not self._setting and name in _NESTED else self._setting
            with self._in(key=name, setting=setting):
                self.visit(value)

    def visit_Call(self, node: ast.Call) -> None:
        self.visit(node.func)
        setting = self._setting
        if isinstance(node.func, ast.Attribute):
            setting = _setting([node.func.value]) or setting  # INSTALLED_APPS.append("channels")
        with self._in(call=_last_name(node.func), setting=setting):
            self._all(node.args)
            for keyword in node.keywords:
                named = keyword.arg if keyword.arg and keyword.arg.isupper() else self._setting
                with self._in(setting=named):
                    self.visit(keyword.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and DOTTED.match(node.value):
            where = (self._setting, self._key, self._call)
            self.texts.append(Text(node.lineno, node.value, *where, self._when))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._all([part.value for part in node.values if isinstance(part, ast.FormattedValue)])


_NESTED = {"CHANNEL_LAYERS", "INSTALLED_APPS", "MIDDLEWARE", "TEMPLATES", "CACHES"}


def _setting(targets: list[Any]) -> str:
    for target in targets:
        if isinstance(target, ast.Name) and target.id.isupper():
            return target.id
    return ""


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _takes_import_errors(handler: ast.ExceptHandler) -> bool:
    if any(isinstance(statement, ast.Raise) for statement in handler.body):
        return False  # it raises another error instead, as manage.py does
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_last_name(one) in MAY_FAIL for one in types)
