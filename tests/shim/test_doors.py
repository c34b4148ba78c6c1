"""Two doors into an interpreter, sitecustomize and the .pth line, and the launcher that opens both."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import django_shim
from django_shim import launcher
from tests.shim.running import SHIMMED, run_code, write
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.processes import child_environment

BOOTSTRAP = str(Path(django_shim.__file__).parent / "bootstrap")
ONE_FINDER = """
import sys, channels
assert channels.__version__ == "4.3.2"
assert sum(type(finder).__name__ == "ShimFinder" for finder in sys.meta_path) == 1, sys.meta_path
"""


def shim(env: Environment, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return env.run("django-shim", *arguments, cwd=cwd, env=variables)


# Trap 3: two doors


@pytest.mark.parametrize(
    "variables",
    [SHIMMED, {"PYTHONPATH": BOOTSTRAP}, {**SHIMMED, "PYTHONPATH": BOOTSTRAP}],
    ids=["pth", "sitecustomize", "both"],
)
def test_trap_03_either_door_and_both_at_once(
    bare: Environment, tmp_path: Path, variables: dict[str, str]
) -> None:
    run_code(bare, ONE_FINDER, tmp_path, variables)


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_trap_03_the_pth_line_does_nothing_unless_asked(
    bare: Environment, tmp_path: Path, value: str
) -> None:
    code = "import sys; assert 'django_shim' not in sys.modules"
    run_code(bare, code, tmp_path, {"DJANGO_SHIM": value})


@pytest.mark.parametrize("option", ["-I", "-E", "-s"])
def test_trap_03_isolated_interpreters_have_the_pth(bare: Environment, tmp_path: Path, option: str) -> None:
    write(tmp_path, main=ONE_FINDER)
    done = shim(bare, "python", option, "main.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_trap_03_a_launcher_with_a_sitecustomize_of_its_own(bare: Environment, tmp_path: Path) -> None:
    """As opentelemetry-instrument works: its folder goes in front of PYTHONPATH, and hides ours."""
    write(tmp_path, front__sitecustomize="print('instrumented')", main=ONE_FINDER)
    write(
        tmp_path,
        instrument="""
import os, sys
os.environ["PYTHONPATH"] = os.pathsep.join([os.path.abspath("front"), os.environ["PYTHONPATH"]])
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
""",
    )
    done = shim(bare, "python", "instrument.py", "main.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "instrumented\n"), done.stderr


@pytest.mark.parametrize("place", ["sitecustomize.py", "sitecustomize/__init__.py"])
def test_trap_03_the_environments_own_sitecustomize_runs_after_ours(
    bare: Environment, tmp_path: Path, place: str
) -> None:
    own = tmp_path / "own" / place
    write(tmp_path, own__sitecustomize__part="VALUE = 1\n")
    lines = ["import django_shim", "VALUE = django_shim.installed()"]
    if own.name == "__init__.py":
        lines.append("from . import part")
    own.write_text("\n".join(lines), encoding="utf-8")
    if own.parent.name == "own":
        (tmp_path / "own" / "sitecustomize" / "__init__.py").unlink()  # else the package comes first
    code = "import sitecustomize; print(sitecustomize.VALUE, sitecustomize.__file__)"
    done = shim(bare, "python", "-c", code, cwd=tmp_path, PYTHONPATH=str(tmp_path / "own"))
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout.split() == ["True", str(own)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_trap_03_multiprocessing_children_inherit_it(bare: Environment, tmp_path: Path, method: str) -> None:
    write(
        tmp_path,
        main=f"""
import multiprocessing

def work(queue):
    import channels.layers, compat.layers
    queue.put(channels.layers.get_channel_layer is compat.layers.get_channel_layer)

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(queue.get(timeout=30))
    process.join(30)
""",
    )
    assert shim(bare, "main.py", cwd=tmp_path).stdout == "True\n"


def test_trap_03_an_interpreter_without_channels_compat_says_so(bare: Environment, tmp_path: Path) -> None:
    """``-S`` keeps site-packages away, as another environment's interpreter would."""
    done = bare.run("python", "-S", "-c", "import sitecustomize", cwd=tmp_path, env={"PYTHONPATH": BOOTSTRAP})
    assert done.returncode == 0
    assert "channels-compat is not installed for" in done.stderr and "python" in done.stderr


def test_trap_03_the_wheel_and_the_editable_install_carry_the_pth(bare: Environment, tmp_path: Path) -> None:
    line = (Path(BOOTSTRAP) / "channels_compat_shim.pth").read_text(encoding="utf-8")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site_packages = Path(run_code(bare, code, tmp_path, {}).strip())
    assert (site_packages / "channels_compat_shim.pth").read_text(encoding="utf-8") == line


@pytest.mark.slow
def test_trap_03_a_built_wheel_installs_both_doors(tmp_path: Path) -> None:
    def run(*command: str) -> str:
        env = child_environment({"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", str(REPO))
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "channels_compat_shim.pth" in names and "django_shim/bootstrap/sitecustomize.py" in names
    assert "django_shim/packages/channels/management/commands/runworker.py" in names
    run(sys.executable, "-m", "venv", "env")
    python = str(tmp_path / "env" / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", str(wheel))
    run(str(tmp_path / "env" / "bin" / "django-shim"), "python", "-c", ONE_FINDER)
    run(str(tmp_path / "env" / "bin" / "django-shim"), "python", "-I", "-c", ONE_FINDER)
    # pip --target does not read .pth files where it installs: there the first door is the only one.
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", "target", str(wheel))
    assert "channels_compat_shim.pth" in os.listdir(tmp_path / "target")


# Trap 8: what an interpreter pays that never imports channels

CHEAP = {
    "__future__",
    "_contextvars",
    "_py_warnings",
    "_types",
    "_warnings",
    "importlib",
    "sitecustomize",
    "types",
    "warnings",
}
EXPENSIVE = {"importlib.abc", "importlib.metadata", "importlib.resources", "importlib.util"}


@pytest.mark.parametrize("variables", [SHIMMED, {"PYTHONPATH": BOOTSTRAP}], ids=["pth", "sitecustomize"])
def test_trap_08_the_doors_import_nothing_but_importlib(
    bare: Environment, tmp_path: Path, variables: dict[str, str]
) -> None:
    code = "import sys; print(*sys.modules)"
    without = set(run_code(bare, code, tmp_path, {}).split())
    added = set(run_code(bare, code, tmp_path, variables).split()) - without
    assert {name for name in added if name.partition(".")[0] not in CHEAP} == {
        "django_shim",
        "django_shim.finder",
    }
    assert not added & EXPENSIVE


# Trap 11: the launcher


def test_trap_11_python_and_scripts_run_with_the_launchers_own_interpreter(
    bare: Environment, tmp_path: Path
) -> None:
    write(tmp_path, which="import sys; print(sys.prefix)")
    expected = run_code(bare, "import sys; print(sys.prefix)", tmp_path, {})
    for command in (["python", "which.py"], ["python3", "which.py"], ["which.py"], ["--", "which.py"]):
        assert shim(bare, *command, cwd=tmp_path, PATH="/nowhere").stdout == expected


def test_trap_11_commands_beside_the_interpreter_come_before_those_on_path(tmp_path: Path) -> None:
    other = tmp_path / "pytest"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    found = launcher.resolve(["pytest", "-q"])
    assert found is not None and found[1:] == ["-q"]
    assert Path(found[0]).parent == Path(sys.executable).parent


def test_trap_11_commands_on_path_are_found(bare: Environment, tmp_path: Path) -> None:
    command = tmp_path / "serve-it"
    command.write_text(f"#!{bare.python}\nimport channels; print(channels.__version__)\n", encoding="utf-8")
    command.chmod(0o755)
    assert shim(bare, "serve-it", cwd=tmp_path, PATH=str(tmp_path)).stdout == "4.3.2\n"


def test_trap_11_empty_pythonpath_entries_are_dropped() -> None:
    joined = os.pathsep.join(["", "/a", "", BOOTSTRAP, "/b", ""])
    environment = launcher.child_environment({"PYTHONPATH": joined, "OTHER": "kept"})
    assert environment["PYTHONPATH"].split(os.pathsep) == [BOOTSTRAP, "/a", "/b"]
    assert environment["OTHER"] == "kept" and environment["DJANGO_SHIM"] == "1"
    assert launcher.child_environment({})["PYTHONPATH"] == BOOTSTRAP


def test_trap_11_on_windows_a_child_process_gives_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path, main="import channels, sys; sys.exit(7)")
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", "DJANGO_SHIM"):
        monkeypatch.delenv(name, raising=False)
    command = launcher.resolve(["main.py"])
    assert command is not None
    assert launcher.run_child(command, launcher.child_environment(os.environ)) == 7


def test_trap_11_a_command_that_does_not_exist(bare: Environment, tmp_path: Path) -> None:
    done = shim(bare, "uvicorm", "mysite.asgi:application", cwd=tmp_path)
    assert done.returncode == 127
    assert "'uvicorm'" in done.stderr and "pip install" in done.stderr and str(bare.bin) in done.stderr


def test_trap_11_usage_options_and_versions(bare: Environment, tmp_path: Path) -> None:
    assert shim(bare, cwd=tmp_path).returncode == 2
    assert "django-shim uvicorn" in shim(bare, "--help", cwd=tmp_path).stdout
    assert "channels-compat" in shim(bare, "--version", cwd=tmp_path).stdout
    wrong = shim(bare, "--reload", cwd=tmp_path)
    assert wrong.returncode == 2 and "'--reload'" in wrong.stderr


def test_trap_11_python_dash_m_is_the_same_command(bare: Environment, tmp_path: Path) -> None:
    write(tmp_path, main="import channels, sys; print(channels.__version__, *sys.argv[1:])")
    done = bare.run("python", "-m", "django_shim", "main.py", "a b", "--c", cwd=tmp_path)
    assert done.stdout == "4.3.2 a b --c\n", done.stderr


def test_trap_11_the_exit_code_and_the_streams_are_the_commands(bare: Environment, tmp_path: Path) -> None:
    write(tmp_path, main="import sys; print(input()); print('err', file=sys.stderr); sys.exit(3)")
    done = bare.run("django-shim", "main.py", cwd=tmp_path, stdin="hello\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello\n", "err\n")
