"""What is installed beside us: the real Django and daphne are used, the real channels is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shim.running import SHIMMED, run_code, write
from tests.support.environments import Environment, environment, in_each

WHERE_DJANGO = "import django; print(django.__file__)"


# Trap 4: is Django installed?


def test_trap_04_the_question_is_asked_when_django_is_imported(bare: Environment, tmp_path: Path) -> None:
    write(tmp_path, later__django____init__="VERSION = 'found later'")
    code = """
import sys, channels
sys.path.append("later")
import django
print(django.VERSION)
"""
    (tmp_path / "later" / "django").mkdir(parents=True, exist_ok=True)
    (tmp_path / "later" / "django" / "__init__.py").write_text("VERSION = 'found later'\n", encoding="utf-8")
    assert run_code(bare, code, tmp_path) == "found later\n"


def test_trap_04_a_folder_called_django_is_not_django(bare: Environment, tmp_path: Path) -> None:
    (tmp_path / "django").mkdir()
    (tmp_path / "django" / "notes.txt").touch()
    assert "django_shim" in run_code(bare, WHERE_DJANGO, tmp_path)


@pytest.mark.parametrize("name", ["django", "channels"])
def test_trap_04_an_installed_django_is_the_one_that_is_imported(name: str, tmp_path: Path) -> None:
    where = run_code(environment(name), WHERE_DJANGO, tmp_path)
    assert "site-packages" in where and "django_shim" not in where


# Trap 5: a real daphne is left alone


def test_trap_05_a_real_daphne_is_left_alone(tmp_path: Path) -> None:
    code = "import daphne.server; print(daphne.server.__file__)"
    where = run_code(environment("channels"), code, tmp_path)
    assert "site-packages" in where and "packages/daphne" not in where.replace("site-packages/daphne", "")


def test_trap_05_without_one_ours_has_what_people_import(tmp_path: Path) -> None:
    code = """
import daphne, daphne.server, daphne.cli, daphne.testing, daphne.endpoints
assert daphne.__version__ and daphne.server.Server and daphne.testing.DaphneProcess
daphne.cli.CommandLineInterface
from daphne.apps import DaphneConfig
print(daphne.__file__)
"""
    assert "django_shim" in run_code(environment("django"), code, tmp_path)


# Trap 6: never half of each


def test_trap_06_install_refuses_when_the_real_channels_is_imported(tmp_path: Path) -> None:
    code = """
import channels, django_shim
try:
    django_shim.install()
except RuntimeError as error:
    assert channels.__file__ in str(error) and "before" in str(error), error
    assert not django_shim.installed()
else:
    raise AssertionError
"""
    run_code(environment("channels"), code, tmp_path, {})


def test_trap_06_installed_but_not_imported_is_overridden(tmp_path: Path) -> None:
    code = """
import django_shim
django_shim.install()
import channels.layers, channels_redis.core, compat.layers
assert channels.layers.get_channel_layer is compat.layers.get_channel_layer
assert "django_shim" in channels.__file__ and "django_shim" in channels_redis.__file__
"""
    run_code(environment("channels"), code, tmp_path, {})


def test_trap_06_the_launcher_says_in_one_line_what_it_overrides(tmp_path: Path) -> None:
    nested = ["django-shim", "django-shim", "python", "-c", "import channels"]
    done = environment("channels").run(*nested, cwd=tmp_path)
    (line,) = done.stderr.splitlines()
    assert (
        "channels 4.3.2 is installed" in line
        and "site-packages" in line
        and "channels-compat instead" in line
    )
    assert environment("django").run(*nested, cwd=tmp_path).stderr == ""


# Trap 9: metadata


@pytest.mark.parametrize("name", in_each())
def test_trap_09_the_version_of_channels_is_answered(name: str, tmp_path: Path) -> None:
    code = """
from importlib.metadata import version, distribution, metadata, requires
print(version("channels"), version("channels_redis"), version("Channels-Redis"))
assert distribution("channels").locate_file("x")
assert metadata("channels")["Name"] == "channels"
"""
    assert run_code(environment(name), code, tmp_path).split() == ["4.3.2", "4.3.0", "4.3.0"]


def test_trap_09_the_real_metadata_stays_where_it_is_installed(tmp_path: Path) -> None:
    code = "from importlib.metadata import metadata; print(metadata('channels')['Summary'])"
    assert "channels-compat" not in run_code(environment("channels"), code, tmp_path)


def test_trap_09_names_that_nobody_has_are_still_missing(bare: Environment, tmp_path: Path) -> None:
    code = """
from importlib.metadata import PackageNotFoundError, version
for name in ("django", "channels-nope"):
    try:
        version(name)
    except PackageNotFoundError:
        continue
    raise AssertionError(name)
"""
    run_code(bare, code, tmp_path)


def test_trap_09_listings_of_a_folder_do_not_show_it(bare: Environment, tmp_path: Path) -> None:
    """pip asks folder by folder: it must not think that channels is installed, and in each of them."""
    code = """
import importlib.metadata, sys
names = [d.metadata["Name"] for path in sys.path for d in importlib.metadata.distributions(path=[path])]
assert "channels-compat" in names and "channels" not in names
names = [d.metadata["Name"] for d in importlib.metadata.distributions()]
assert names.count("channels") == 1
"""
    run_code(bare, code, tmp_path)
    assert "\nchannels " not in bare.run("python", "-m", "pip", "list", cwd=tmp_path, env=SHIMMED).stdout


# Trap 7: a compat of the user's own


@pytest.mark.parametrize("own", ["compat.py", "compat/__init__.py"])
@pytest.mark.parametrize(
    "statement", ["import channels", "import channels_redis.core", "from channels import auth"]
)
def test_trap_07_a_compat_of_the_projects_own_is_named_with_the_cure(
    bare: Environment, tmp_path: Path, own: str, statement: str
) -> None:
    path = tmp_path / own
    path.parent.mkdir(exist_ok=True)
    path.write_text("PY3 = True\n", encoding="utf-8")
    write(
        tmp_path,
        main=f"""
import compat
assert compat.PY3, "without channels their own module is theirs to use"
try:
    {statement}
except ImportError as error:
    print(error)
""",
    )
    said = bare.run("python", "main.py", cwd=tmp_path, env=SHIMMED).stdout
    named = path.parent if path.name == "__init__.py" else path
    assert str(named) in said and "Rename" in said, said


def test_trap_07_it_may_be_imported_before_install(bare: Environment, tmp_path: Path) -> None:
    write(
        tmp_path, compat="PY3 = True", main="import compat, django_shim\ndjango_shim.install()\nprint('fine')"
    )
    assert bare.run("python", "main.py", cwd=tmp_path).stdout == "fine\n"


def test_trap_07_the_folder_of_the_script_stays_first_on_the_path(bare: Environment, tmp_path: Path) -> None:
    write(tmp_path, project__main="import sys; print(sys.path[0])", here="VALUE = 1")
    for command in (
        ("django-shim", "project/main.py"),
        ("django-shim", "python", "project/main.py"),
        ("python", "-m", "django_shim", "project/main.py"),
    ):
        assert bare.run(*command, cwd=tmp_path).stdout.strip() == str(tmp_path / "project")
    module = bare.run("django-shim", "python", "-m", "project.main", cwd=tmp_path)
    assert module.stdout.strip() == str(tmp_path)


def test_trap_07_the_launcher_itself_imports_nothing_from_the_current_folder(
    bare: Environment, tmp_path: Path
) -> None:
    write(tmp_path, compat="print('imported')", main="print('ran')")
    refused = bare.run("python", "-m", "django_shim", "main.py", cwd=tmp_path)
    assert refused.returncode != 0 and refused.stdout == ""
    assert "the name 'compat' is taken" in refused.stderr


FIRST = ("compat", "django_shim.with_django", "django_shim.with_django.auth", "channels")


@pytest.mark.parametrize("first", FIRST)
def test_whatever_is_imported_first_django_is_known_to_compat(first: str, tmp_path: Path) -> None:
    write(tmp_path, mysite__settings="CHANNEL_LAYERS = {}\nALLOWED_HOSTS = ['known.example']\n")
    code = f"""
import {first}
from compat.settings import settings
assert settings.ALLOWED_HOSTS == ["known.example"]
assert settings.LANGUAGE_CODE == "en-us", "a default of Django's own"
"""
    variables = {**SHIMMED, "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    run_code(environment("django"), code, tmp_path, variables)
