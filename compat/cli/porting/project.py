"""The analysis of a whole project: the findings of every file, and the files whose imports fail."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from compat.cli.application import name_taken, own_compat
from compat.cli.moves import DJANGO, LIBRARIES, PACKAGES
from compat.cli.porting.environment import is_installed, judge_foreign
from compat.cli.porting.findings import ORDER, FileReport, Finding, Report
from compat.cli.porting.judge import (
    DjangoNames,
    Kind,
    Verdict,
    is_ported,
    judge,
    judge_text,
    judge_use,
    library_of,
    without_home,
)
from compat.cli.porting.namesakes import namesakes, own_packages, without
from compat.cli.porting.places import COMPARED
from compat.cli.porting.records import Import, References, Text, When
from compat.cli.porting.references import references
from compat.cli.porting.sources import (
    NotRead,
    Sources,
    is_there,
    module_names,
    name_below,
    own_names,
    read,
    sources,
    template_files,
    tops,
    with_packages,
)
from compat.cli.porting.templates import judge_template

__all__ = ["inspect"]

POOL_FROM = 4000
"""The number of files from which several processes are faster than one."""

APPLICATIONS = {"ASGI_APPLICATION", "ROOT_URLCONF", "WSGI_APPLICATION"}
"""Settings that name a module of the project."""
TESTS = {"conftest", "test", "tests"}


Progress = Callable[[int], object]
"""A callback that takes the number of files that have just been read."""


def inspect(
    root: Path, django: DjangoNames, progress: Progress = lambda count: None, below: Sources | None = None
) -> Report:
    """Analyse every file below ``root`` without importing or writing it. Raises NothingThere.

    ``below``: what ``sources(root)`` has returned.
    """
    began = time.monotonic()
    files, left_out, _ = below or sources(root)
    found = dict(zip(files, _read(files, progress), strict=True))
    top = root if root.is_dir() else root.parent
    names = own_names(files)
    for file in files:
        if "." in names[file] or file.parent == top:
            continue
        if any(one.level for one in found[file].imports):
            names[file] = name_below(file, top)  # a relative import: the file is in a package
    own = {file: own_packages(file, top, partial(found.__getitem__, file)) for file in files}
    project = _Project(module_names(files, top), names, found, own, django)
    reports = project.reports()
    for path, reason in left_out.items():
        reports.append(FileReport(path, "", [Finding(1, Kind.unknown, f"not read: {reason}")]))
    _note_own_compat(reports, found, top, django)
    for report in reports:
        report.sort()
    lines = sum(one.lines for one in found.values())
    imported = (one.module for each in found.values() for one in each.imports)
    if root.is_dir() and any(f"{module}.".startswith(("django.", f"{DJANGO}.")) for module in imported):
        reports += _templates(root, files, django)
    return Report(top, django, reports, lines, time.monotonic() - began)


def _note_own_compat(
    reports: Sequence[FileReport], read: Mapping[Path, References], top: Path, django: DjangoNames
) -> None:
    """Add a finding for a module ``compat`` beside a file that has, or will have, ours to import."""
    ours = {*(LIBRARIES if django is DjangoNames.shim else PACKAGES), "compat"}
    using = [
        path for path, one in read.items() if ours & {each.module.partition(".")[0] for each in one.imports}
    ]
    folders = {top, *(folder for path in using for folder in tops(path, top))}
    for file in {own for folder in folders if (own := own_compat(folder))}:
        # It may be above the files that are read.
        report = next((one for one in reports if one.path == file), reports[0])
        report.findings.append(Finding(1, Kind.gone, name_taken(file)))


def _templates(root: Path, files: Sequence[Path], django: DjangoNames) -> list[FileReport]:
    own = {file.stem for file in files if file.parent.name == "templatetags"}
    reports = []
    for path in template_files(root):
        try:
            text = read(path).decode("utf-8", errors="replace")
        except NotRead as error:
            reports.append(FileReport(path, "", [Finding(1, Kind.unknown, f"not read: {error}")]))
            continue
        found = [Finding(line, one.kind, one.message) for line, one in judge_template(text, own)]
        reports.append(FileReport(path, "", found if django is DjangoNames.shim else []))
    return reports


def _read(files: Sequence[Path], progress: Progress) -> Iterator[References]:
    if len(files) < POOL_FROM or multiprocessing.cpu_count() < 2:
        for file in files:
            yield references(file)
            progress(1)
        return
    # "spawn", because this process may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(8, multiprocessing.cpu_count()), mp_context=context) as pool:
        for found in pool.map(references, files, chunksize=16):
            yield found
            progress(1)


class _Edge(NamedTuple):
    line: int
    target: Path
    breaks: bool


class _Project:
    def __init__(
        self,
        modules: dict[str, Path],
        names: dict[Path, str],
        read: dict[Path, References],
        own: Mapping[Path, set[str]],
        django: DjangoNames,
    ) -> None:
        self._modules = modules
        self._names = names
        self._namesakes = namesakes(read)
        self._own = own
        self._read = {path: without(one, {*self._namesakes, *own[path]}) for path, one in read.items()}
        self._django = django
        self._is_ported = is_ported(read.values(), django)
        self._roots = {name.partition(".")[0] for name in modules}
        self._packages = with_packages(modules)
        self._edges: dict[Path, list[_Edge]] = {}
        self._broken: dict[Path, tuple[Kind, str]] = {}

    def reports(self) -> list[FileReport]:
        found = {path: FileReport(path, self._names[path]) for path in self._read}
        for path, report in found.items():
            self._edges[path] = []
            for line, verdict in self._verdicts(path):
                self._note(report, line, verdict)
        self._follow(found)
        return list(found.values())

    def _note(self, report: FileReport, line: int, verdict: Verdict) -> None:
        report.findings.append(Finding(line, verdict.kind, verdict.message))
        if verdict.breaks:
            before = self._broken.get(report.path)
            if before is None or ORDER.index(before[0]) < ORDER.index(verdict.kind):
                self._broken[report.path] = (verdict.kind, f"{report.module}, line {line}")

    def _verdicts(self, path: Path) -> Iterator[tuple[int, Verdict]]:
        found = self._read[path]
        if found.error is not None:
            line, why = found.error
            yield line, Verdict(Kind.broken, f"cannot be read as Python: {why}", breaks=True)
        if found.unread:
            yield 1, Verdict(Kind.unknown, f"not read: {found.unread}")
        for one in self._namesakes.values():
            if one.file == path:
                yield one.line, Verdict(Kind.warned, one.why)
        self._package_edges(path)
        judged: dict[str, Kind] = {}
        yield from self._of_imports(path, judged)
        yield from self._of_uses(path, judged)
        yield from self._of_texts(path)
        yield from self._of_hooks(path)

    def _of_imports(self, path: Path, judged: dict[str, Kind]) -> Iterator[tuple[int, Verdict]]:
        for one in self._read[path].imports:
            if one.when is not When.never:
                name = f"{one.module}.{one.name}" if one.name else one.module
                judged[name] = Kind.runs
                for line, verdict in self._of_import(path, one):
                    judged[name] = verdict.kind
                    yield line, verdict

    def _of_uses(self, path: Path, judged: Mapping[str, Kind]) -> Iterator[tuple[int, Verdict]]:
        for use in self._read[path].uses:
            if use.when is When.never or judged.get(use.path, Kind.runs) is not Kind.runs:
                continue  # the import is a finding already
            verdict = judge_use(use.path, use.when is When.imported, self._django)
            if verdict is not None and (use.path not in judged or verdict.kind is not Kind.runs):
                yield use.line, verdict

    def _of_texts(self, path: Path) -> Iterator[tuple[int, Verdict]]:
        for text in self._read[path].texts:
            if text.when is When.never:
                continue
            verdict = judge_text(text, self._django)
            if verdict is not None:
                yield text.line, verdict
            elif text.call == COMPARED:
                continue
            elif (
                text.call == "include"
                or text.setting.endswith("APPS")
                or (text.key == "BACKEND" and "." in text.value and not _is_test(self._names[path]))
            ):
                yield from self._of_name(path, text.line, text.value, text.call == "include")
            elif _is_application(text) and not self._targets(text.value, None):
                yield text.line, Verdict(Kind.unknown, f"{text.value} is not in this project")

    def _of_hooks(self, path: Path) -> Iterator[tuple[int, Verdict]]:
        for line, text in self._read[path].hooks:
            yield line, Verdict(Kind.warned, text)

    # Imports

    def _of_import(self, path: Path, one: Import) -> Iterator[tuple[int, Verdict]]:
        module = self._absolute(path, one) if one.level else one.module
        breaks = one.when is When.imported and not one.guarded
        targets = self._targets(module, one.name)
        self._edges[path] += [_Edge(one.line, target, breaks) for target in targets if target != path]
        verdict: Verdict | None = None
        root = module.partition(".")[0]
        own = root in self._roots and (library_of(root) is None or root in self._own[path])
        if own and module in self._packages:
            pass
        elif (own or one.level) and is_there(path, one.level, one.module):
            pass
        elif root in self._namesakes:
            verdict = judge_foreign(module, self._django)
        elif one.level or own:
            what = "." * one.level + one.module if one.level else module
            verdict = Verdict(
                Kind.unknown, f"{what} does not exist, so its import was not tried", breaks=True
            )
        else:
            verdict = judge(module, one.name, self._django)
            why = without_home(one, self._django) if self._is_ported and not is_installed(root) else None
            if why and verdict is not None and verdict.kind is Kind.runs:
                verdict = Verdict(Kind.gone, f"{one.spelled}, which port left: {why}", breaks=True)
            if verdict is None and library_of(module) is None:
                verdict = judge_foreign(module, self._django)
        if verdict is None or (one.guarded and verdict.breaks):
            return  # inside a try whose except handles the error
        yield one.line, verdict._replace(breaks=verdict.breaks and breaks)

    def _of_name(self, path: Path, line: int, name: str, breaks: bool) -> Iterator[tuple[int, Verdict]]:
        """Yield the findings about a dotted name that Django imports: an app, a URLconf, a backend."""
        targets = self._targets(name, None)
        if targets:
            self._edges[path] += [_Edge(line, target, breaks) for target in targets if breaks]
        elif library_of(name) is None and name.partition(".")[0] not in self._roots:
            verdict = judge_foreign(name, self._django)
            if verdict is not None:
                yield line, verdict._replace(breaks=breaks)

    def _absolute(self, path: Path, one: Import) -> str:
        parts = self._names[path].split(".")
        if path.name != "__init__.py":
            parts = parts[:-1]
        parts = parts[: len(parts) - (one.level - 1)]
        return ".".join([*parts, *([one.module] if one.module else [])])

    def _targets(self, module: str, name: str | None) -> list[Path]:
        """Return the project's files that an import executes: the module, its parent packages, a
        submodule.
        """
        parts = module.split(".")
        names = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        if name is not None:
            names.append(f"{module}.{name}")
        return [self._modules[one] for one in names if one in self._modules]

    def _package_edges(self, path: Path) -> None:
        """Add edges to the ``__init__`` files of the parent packages, which are imported before the file."""
        parts = self._names[path].split(".")[:-1]
        for end in range(1, len(parts) + 1):
            init = self._modules.get(".".join(parts[:end]))
            if init is not None and init != path:
                self._edges[path].append(_Edge(1, init, True))

    def _follow(self, found: dict[Path, FileReport]) -> None:
        """Mark files that import a file which cannot be imported, until no more are found."""
        changed = True
        done: set[tuple[Path, Path, bool]] = set()
        while changed:
            changed = False
            for path, edges in self._edges.items():
                for edge in edges:
                    broken = self._broken.get(edge.target)
                    told = (path, edge.target, edge.breaks)
                    if broken is None or told in done:
                        continue  # one finding for each imported file, not for each name
                    done.add(told)
                    changed = True
                    kind, where = broken
                    message = f"imports {found[edge.target].module}, which {_WHY[kind]} ({where})"
                    self._note(found[path], edge.line, Verdict(kind, message, edge.breaks))


def _is_application(text: Text) -> bool:
    # Only the module of the URLs may have a plain name: an application is a name in a module.
    return text.setting in APPLICATIONS and ("." in text.value or text.setting == "ROOT_URLCONF")


def _is_test(module: str) -> bool:
    """Return True for a module of tests, which may name a backend that does not exist on purpose."""
    return any(part in TESTS or part.startswith("test_") for part in module.split("."))


_WHY = {
    Kind.runs: "runs",
    Kind.warned: "runs",
    Kind.unknown: "imports a package that is not installed here",
    Kind.port: "port rewrites",
    Kind.gone: "uses a name that has no equivalent",
    Kind.django: "needs Django",
    Kind.broken: "cannot be read",
}
