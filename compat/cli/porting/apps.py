"""Rewriting of apps in the settings of a project: our app replaces "daphne" and "channels".

INSTALLED_APPS = ["daphne", "channels", …]       INSTALLED_APPS = ["django_shim.with_django", …]

The lists are followed through assignments, ``if`` and imports. Each INSTALLED_APPS that had one of these
entries has our app afterwards: that of ``base.py`` too if ``dev.py`` adds "daphne" to its "channels".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path

import libcst as cst

from compat.cli.moves import APPS, SHIMMED, WITH_DJANGO
from compat.cli.porting.lists import with_first, without
from compat.cli.porting.nodes import dotted, text_of, with_text
from compat.cli.porting.places import INSTALLED

__all__ = ["Apps", "Settings"]

MOST_VERSIONS = 64

Entries = frozenset[cst.SimpleString]
Versions = frozenset[Entries]
"""The entries of a list, once for each way through the ``if`` statements of the settings."""


class Settings:
    """The settings of a whole project: which entries of its lists of apps become ours."""

    def __init__(self, files: Mapping[Path, cst.Module]) -> None:
        self._files = files
        self._read: dict[Path, _Reader] = {}
        for file in files:
            self._values(file)
        readers = self._read.values()
        entries = [entry for one in readers for entry in one.entries]
        found = (one.replaced | one.values.get(INSTALLED, frozenset()) for one in readers)
        versions = {version for each in found for version in each if version}
        used: Entries = frozenset().union(*versions)
        # An entry that was not found in any INSTALLED_APPS may be in one that cannot be followed.
        self._ours = _chosen(
            entries, versions | {frozenset({entry}) for entry in entries if entry not in used}
        )
        main = {"ASGI_APPLICATION", "CHANNEL_LAYERS"}
        self._missing = {
            file
            for file, one in self._read.items()
            if not entries and INSTALLED in one.values and one.names & main
        }

    def module(self, file: Path) -> cst.Module | None:
        """Return the syntax tree that ``of(file)`` takes; None if the file has no list of apps."""
        return self._files.get(file)

    def of(self, file: Path) -> Apps:
        """Return what rewrites the file."""
        return Apps(self._ours, missing=file in self._missing)

    def _values(self, file: Path) -> Mapping[str, Versions]:
        if file not in self._read:
            # Entered before it is read: settings may import each other.
            reader = self._read[file] = _Reader(lambda module, level: self._imported(file, module, level))
            try:
                self._files[file].visit(reader)
            except RecursionError:  # port says so when it rewrites the file
                self._read[file] = _Reader(lambda module, level: None)
        return self._read[file].values

    def _imported(self, importer: Path, module: str, level: int) -> Mapping[str, Versions] | None:
        parts = tuple(module.split(".")) if module else ()
        if level:
            parts = (*importer.parents[min(level, len(importer.parents)) - 1].parts, *parts)
        found = [file for file in self._files if parts and _module_parts(file)[-len(parts) :] == parts]
        if not found:
            return None
        nearest = max(found, key=lambda file: _folders_shared(file, importer))
        return self._values(nearest) if nearest != importer else None


def _folders_shared(one: Path, other: Path) -> int:
    return len({*one.parents} & {*other.parents})


def _module_parts(file: Path) -> tuple[str, ...]:
    return file.parent.parts if file.name == "__init__.py" else file.with_suffix("").parts


def _chosen(entries: Sequence[cst.SimpleString], versions: Iterable[Entries]) -> Entries:
    """Return the entries that become ours, so that each version has one, and few have several."""
    place = {entry: (not (text_of(entry) or "").startswith(SHIMMED[2]), n) for n, entry in enumerate(entries)}
    chosen = {entry for entry in entries if text_of(entry) == WITH_DJANGO}
    # The shortest first, because a longer version often contains a shorter one.
    for version in sorted(versions, key=lambda version: (len(version), min(map(place.__getitem__, version)))):
        if not version & chosen:
            chosen.add(min(version, key=place.__getitem__))
    return frozenset(chosen)


class _Reader(cst.CSTVisitor):
    """Reads the lists of apps of a file, in the order of its statements."""

    def __init__(self, imported: Callable[[str, int], Mapping[str, Versions] | None]) -> None:
        self.values: dict[str, Versions] = {}
        self.entries: list[cst.SimpleString] = []
        self.names: set[str] = set()
        self.replaced: Versions = frozenset()
        """The versions of an INSTALLED_APPS that is assigned again, or that is no variable of the file:
        ``settings.configure(INSTALLED_APPS=[…])``."""
        self._imported = imported
        self._before: list[dict[str, Versions]] = []

    # A block may be executed or not

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:
        self._before.append(dict(self.values))

    def leave_IndentedBlock(self, original_node: cst.IndentedBlock) -> None:
        before = self._before.pop()
        self.values = {name: before.get(name, frozenset()) | found for name, found in self.values.items()}

    def visit_SimpleStatementSuite(self, node: cst.SimpleStatementSuite) -> None:
        self._before.append(dict(self.values))

    def leave_SimpleStatementSuite(self, original_node: cst.SimpleStatementSuite) -> None:
        self.leave_IndentedBlock(cst.IndentedBlock([]))

    # Imports

    def visit_Import(self, node: cst.Import) -> None:
        for alias in node.names:
            self._take(self._imported(dotted(alias.name) or "", 0))

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        module, level = dotted(node.module) or "", len(node.relative)
        found = self._imported(module, level) or {}
        if isinstance(node.names, cst.ImportStar):
            self.values.update(found)
            return
        for alias in node.names:
            name = dotted(alias.name) or ""
            if name in found:
                self.values[dotted(alias.asname.name) or name if alias.asname else name] = found[name]
            else:
                self._take(self._imported(f"{module}.{name}".lstrip("."), level))

    def _take(self, found: Mapping[str, Versions] | None) -> None:
        for name, versions in (found or {}).items():
            self.values.setdefault(name, versions)

    # Lists

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._assign(target.target, node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        if node.value is not None:
            self._assign(node.target, node.value)

    def _assign(self, target: cst.BaseExpression, value: cst.BaseExpression) -> None:
        name = _last(target)
        self.names.add(name)
        if _is_apps(name):
            before, self.values[name] = self.values.get(name, frozenset()), self._of(value)
            if name == INSTALLED:
                self.replaced |= {one for one in before if not any(one <= new for new in self.values[name])}

    def visit_AugAssign(self, node: cst.AugAssign) -> None:
        self._extend(
            _last(node.target), self._of(node.value) if _is_apps(_last(node.target)) else frozenset()
        )

    def visit_Call(self, node: cst.Call) -> None:
        for entry in _added(node):
            self._extend(_owner(node), self._entry(entry))
        for argument in node.args:
            if _is_installed(argument.keyword, argument.value):
                self.replaced |= self._of(argument.value)

    def visit_DictElement(self, node: cst.DictElement) -> None:
        if _is_installed(node.key, node.value):
            self.replaced |= self._of(node.value)

    def _extend(self, name: str, more: Versions) -> None:
        if _is_apps(name):
            self.values[name] = _both(self.values.get(name, frozenset()), more)

    def _of(self, value: cst.BaseExpression) -> Versions:
        """Return the versions of a list: a literal, a name, or a sum of them."""
        found: Versions = frozenset()
        if isinstance(value, cst.List | cst.Tuple):
            for element in value.elements:
                one = element.value
                starred = isinstance(element, cst.StarredElement)
                found = _both(found, self._of(one) if starred else self._entry(one))
        elif isinstance(value, cst.BinaryOperation):
            found = _both(self._of(value.left), self._of(value.right))
        else:
            found = self.values.get(_last(value), frozenset())
        return found or frozenset({frozenset()})

    def _entry(self, value: cst.BaseExpression) -> Versions:
        if not isinstance(value, cst.SimpleString) or text_of(value) not in (*APPS, WITH_DJANGO):
            return frozenset()
        if value not in self.entries:
            self.entries.append(value)
        return frozenset({frozenset({value})})


def _both(first: Versions, second: Versions) -> Versions:
    empty: Versions = frozenset({frozenset()})
    found = frozenset(one | other for one, other in product(first or empty, second or empty))
    if len(found) <= MOST_VERSIONS:
        return found
    return frozenset(frozenset({entry}) for version in found for entry in version)


class Apps(cst.CSTTransformer):
    """Rewrites ``INSTALLED_APPS`` and its parts in a file.

    ``ours``: the entries that become our app; other entries of ``APPS`` are removed. ``missing``: the
    settings of the project have no such entry, so our app is added in front.
    """

    def __init__(self, ours: Entries, *, missing: bool) -> None:
        self._ours = ours
        self._missing = missing

    # Each method takes the original node, because the entries are known by their identity.

    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        value = original_node.value
        for target in original_node.targets:
            value = self._assigned(_last(target.target), value)
        return updated_node if value is original_node.value else updated_node.with_changes(value=value)

    def leave_AnnAssign(self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign) -> cst.AnnAssign:
        if original_node.value is None:
            return updated_node
        value = self._assigned(_last(original_node.target), original_node.value)
        return updated_node if value is original_node.value else updated_node.with_changes(value=value)

    def leave_AugAssign(self, original_node: cst.AugAssign, updated_node: cst.AugAssign) -> cst.AugAssign:
        if not _is_apps(_last(original_node.target)):
            return updated_node
        return updated_node.with_changes(value=self._replaced(original_node.value))

    def leave_Expr(self, original_node: cst.Expr, updated_node: cst.Expr) -> cst.BaseSmallStatement:
        call = original_node.value
        if isinstance(call, cst.Call) and any(self._is_removed(entry) for entry in _added(call)):
            return cst.Pass(semicolon=updated_node.semicolon)
        return updated_node

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        for entry in _added(original_node):
            if entry in self._ours:
                last = updated_node.args[-1]
                ours = last.with_changes(value=with_text(entry, WITH_DJANGO))
                return updated_node.with_changes(args=[*updated_node.args[:-1], ours])
        return updated_node

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        if not _is_installed(original_node.keyword, original_node.value):
            return updated_node
        return updated_node.with_changes(value=self._replaced(original_node.value))

    def leave_DictElement(
        self, original_node: cst.DictElement, updated_node: cst.DictElement
    ) -> cst.DictElement:
        if not _is_installed(original_node.key, original_node.value):
            return updated_node
        return updated_node.with_changes(value=self._replaced(original_node.value))

    def _assigned(self, name: str, value: cst.BaseExpression) -> cst.BaseExpression:
        if not _is_apps(name):
            return value
        value = self._replaced(value)
        extends = INSTALLED in cst.Module([]).code_for_node(value)
        return _with_ours(value) if self._missing and name == INSTALLED and not extends else value

    def _replaced(self, value: cst.BaseExpression) -> cst.BaseExpression:
        if isinstance(value, cst.BinaryOperation):
            return value.with_changes(left=self._replaced(value.left), right=self._replaced(value.right))
        if not isinstance(value, cst.List | cst.Tuple):
            return value
        elements = [
            element.with_changes(value=with_text(element.value, WITH_DJANGO))
            if isinstance(element.value, cst.SimpleString) and element.value in self._ours
            else element
            for element in value.elements
        ]
        changed = value.with_changes(elements=elements)
        for number in reversed(range(len(elements))):
            if self._is_removed(elements[number].value):
                changed = without(changed, number)
        return changed

    def _is_removed(self, value: cst.BaseExpression) -> bool:
        return text_of(value) in APPS and value not in self._ours


def _last(node: cst.BaseExpression) -> str:
    return (dotted(node) or "").rpartition(".")[2]


def _is_apps(name: str) -> bool:
    return name.isupper() and name.endswith("APPS")


def _is_installed(key: cst.BaseExpression | None, value: cst.BaseExpression) -> bool:
    """Return True for a list that is an argument, ``settings.configure(INSTALLED_APPS=[…])``, or in a dict.

    One that extends ``settings.INSTALLED_APPS`` is left: those settings may have our app already.
    """
    if key is None or INSTALLED not in (dotted(key), text_of(key)):
        return False
    return INSTALLED not in cst.Module([]).code_for_node(value)


def _owner(call: cst.Call) -> str:
    return _last(call.func.value) if isinstance(call.func, cst.Attribute) else ""


def _added(call: cst.Call) -> list[cst.SimpleString]:
    """Return the string that a call adds to a list of apps, or nothing."""
    if not _is_apps(_owner(call)) or _last(call.func) not in ("append", "insert") or not call.args:
        return []
    return [value] if isinstance(value := call.args[-1].value, cst.SimpleString) else []


def _with_ours(value: cst.BaseExpression) -> cst.BaseExpression:
    """Return the list with our app in front."""
    if isinstance(value, cst.BinaryOperation):
        return value.with_changes(left=_with_ours(value.left))
    return with_first(value, WITH_DJANGO) if isinstance(value, cst.List | cst.Tuple) else value
