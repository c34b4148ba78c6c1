"""Projects in the shape that `port` and `check` are given them, and what is tried with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.environments import Environment, environment

__all__ = ["ENVIRONMENT_OF", "check", "claimed", "failing_imports", "port", "without_cache"]

ENVIRONMENT_OF = {"keep": "django", "shim": "bare"}
"""Where a project runs whose Django names stay, and one whose names are those of the subset."""

TRY = """
import importlib, json, os, sys
sys.path[:0] = [os.getcwd(), *sys.argv[1:]]
if os.environ.get("DJANGO_SETTINGS_MODULE"):
    try:
        import django
    except ModuleNotFoundError:
        from django_shim import django  # a project that was ported, without a shim
    django.setup()
failed = {}
for path, name in json.load(sys.stdin):
    if not name:
        from django.template import engines
        try:
            engines["django"].from_string(open(path).read())
        except Exception as error:
            failed[path] = f"{type(error).__name__}: {error}"
        continue
    file = path.removesuffix(".py").removesuffix("/__init__")
    folder = os.path.abspath(file.removesuffix(name.replace(".", "/")))
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = f"{type(error).__name__}: {error}"
print(json.dumps(failed))
"""


def port(project: Path, django: str, *options: str) -> str:
    """What ``channels-compat port`` prints, run where LibCST is."""
    done = environment("bare").run(
        "channels-compat", "port", str(project), "--django", django, *options, cwd=project
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(project: Path, env: Environment, django: str) -> Any:
    """The report of ``channels-compat check``, run where the project is to run."""
    command = ("channels-compat", "check", str(project), "--json", "--django", django)
    done = env.run(*command, cwd=project)
    assert done.returncode in (0, 3, 4), done.stdout + done.stderr
    return json.loads(done.stdout)


def claimed(report: Any) -> list[Any]:
    """The files that are said to run unchanged; setup.py, which runs when it is imported, is left out."""
    return [file for file in report["files"] if file["status"] == "runs" and file["module"] != "setup"]


def failing_imports(
    project: Path, env: Environment, files: list[Any], *, settings: str = "", shim: bool = False
) -> Any:
    """Module to error, for those files of a report that cannot be imported; under the shim, or without it."""
    command = ("django-shim", "python") if shim else ("python",)
    variables = {"DJANGO_SETTINGS_MODULE": settings} if settings else {}
    asked = json.dumps([(file["path"], file["module"]) for file in files])
    done = env.run(*command, "-c", TRY, cwd=project, env=variables, stdin=asked, deadline_s=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def without_cache(project: Path) -> dict[str, bytes]:
    """Every file of a project that people write."""
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
