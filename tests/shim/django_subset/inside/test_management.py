"""Management commands, called from code."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.core.management.commands import runserver
from django.test import override_settings

from compat.testing import ApplicationCommunicator

PACKAGE = "tests.shim.django_subset.inside"


def output(*args: object, **options: object) -> str:
    out = io.StringIO()
    call_command(*args, stdout=out, stderr=options.pop("stderr", io.StringIO()), **options)
    return out.getvalue()


def test_commands_of_the_projects_apps() -> None:
    assert output("greet", "Ann", "Bob") == "Hello Ann, Bob\n"
    assert output("greet", ["Ann", "Bob"], ("--times", 1)) == "Hello Ann, Bob\n"
    assert output("greet", "Ann", shout=True, times=2) == "HELLO ANNHELLO ANN\n"
    assert output("greet", "Ann", "--shout") == "HELLO ANN\n"
    assert output("greet", "Ann", "--tone", "rude").endswith("hm\n")
    errors = io.StringIO()
    output("greet", "Ann", stderr=errors, no_color=True)
    assert errors.getvalue() == "done\n"
    assert call_command("greet", "Ann", tone="rude", stdout=io.StringIO(), stderr=io.StringIO()) == "hm"


def test_mistakes_in_a_call() -> None:
    with pytest.raises(CommandError, match="required: names"):
        output("greet")
    with pytest.raises(CommandError, match=r"there is no command 'gret'\. The nearest is greet"):
        output("gret")
    with pytest.raises(CommandError, match="'dbshell' needs the real Django"):
        output("dbshell")
    with pytest.raises(TypeError, match="the command greet has no option loud"):
        output("greet", "Ann", loud=True)
    with pytest.raises(CommandError) as caught:
        output("greet", "nobody")
    assert caught.value.returncode == 3


def test_commands_by_object_and_by_app() -> None:
    command = load_command_class(f"{PACKAGE}.rooms", "greet")
    assert output(command, "Ann") == "Hello Ann\n"
    assert {"greet", "runserver", "migrate", "check", "shell", "runworker"} <= set(get_commands())


def test_nothing_to_migrate() -> None:
    assert "Nothing to migrate" in output("migrate")
    assert "Nothing to migrate" in output("migrate", "chat", "0001", "--noinput")
    assert "No changes" in output("makemigrations", "chat")
    assert "Nothing to migrate" in output("migrate", interactive=False)
    assert "No changes" in output("makemigrations", interactive=False)


def test_check_finds_what_is_wrong() -> None:
    assert output("check") == "System check identified no issues (0 silenced).\n"
    layers = {"default": {"BACKEND": "nope.Layer"}}
    templates = [{"BACKEND": "nope"}]
    with override_settings(
        CHANNEL_LAYERS=layers,
        TEMPLATES=templates,
        ROOT_URLCONF="nope.urls",
        MIDDLEWARE=["nope.M"],
        ASGI_APPLICATION="nope.app",
    ):
        with pytest.raises(CommandError) as caught:
            output("check")
    for name in ("CHANNEL_LAYERS", "TEMPLATES", "ROOT_URLCONF", "MIDDLEWARE", "ASGI_APPLICATION", "5 issues"):
        assert name in str(caught.value)


def test_static_files_are_collected(tmp_path) -> None:
    with pytest.raises(CommandError, match="STATIC_ROOT is not set"):
        output("collectstatic", "--noinput")
    root = tmp_path / "static"
    with override_settings(STATIC_ROOT=root):
        assert "Pretending to copy" in output("collectstatic", "--dry-run") and not root.exists()
        assert (
            output("collectstatic", interactive=False, post_process=False)
            == f"3 static files copied to '{root}'.\n"
        )
        assert (root / "rooms" / "style.css").exists() and (root / "notes.txt").exists()
        (root / "old").touch()
        assert "Copying" in output("collectstatic", "--clear", verbosity=2) and not (root / "old").exists()
    for name in (".env", "a.js~", ".git/config", "CVS/Root", "kept/a.txt", "left/b.txt"):
        (tmp_path / "more" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "more" / name).touch()

    def copied(*options: str) -> set[str]:
        with override_settings(STATIC_ROOT=tmp_path / "copied", STATICFILES_DIRS=[tmp_path / "more"]):
            output("collectstatic", "--noinput", "--clear", *options)
        files = (path.relative_to(tmp_path / "copied") for path in (tmp_path / "copied").rglob("*"))
        return {str(path) for path in files if (tmp_path / "more" / path).is_file()}

    assert copied() == {"kept/a.txt", "left/b.txt"}
    assert copied("-i", "b.*", "--ignore", "x") == {"kept/a.txt"}
    assert len(copied("--no-default-ignore")) == 6
    prefixed = [("pre", tmp_path / "static")]
    with override_settings(STATICFILES_DIRS=prefixed):
        assert finders.find("pre/notes.txt") and not finders.find("notes.txt")


def test_static_files_of_linked_folders_are_collected(tmp_path) -> None:
    """Those that the server finds in development; a link to a folder around it has no end."""
    source, elsewhere, root = (tmp_path / name for name in ("source", "elsewhere", "root"))
    (source / "own").mkdir(parents=True)
    (source / "own" / "a.txt").touch()
    (source / "own" / "around").symlink_to(source)
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "b.txt").touch()
    (source / "linked").symlink_to(elsewhere)
    (source / "broken").symlink_to(tmp_path / "nowhere")
    with override_settings(STATIC_ROOT=root, STATICFILES_DIRS=[source], INSTALLED_APPS=[]):
        assert finders.find("linked/deep/b.txt")
        output("collectstatic", "--noinput")
    assert [str(path.relative_to(root)) for path in sorted(root.rglob("*.txt"))] == [
        "linked/deep/b.txt",
        "own/a.txt",
    ]


@pytest.mark.parametrize(
    ("root", "options"), [("source", ()), ("source", ["--clear"]), (".", ["--clear"]), ("link", ["--clear"])]
)
def test_static_files_are_not_deleted_where_they_come_from(tmp_path, root: str, options: list[str]) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "source")
    with override_settings(STATIC_ROOT=tmp_path / root, STATICFILES_DIRS=[tmp_path / "source"]):
        with pytest.raises(CommandError, match=r"STATIC_ROOT is '.*name another folder"):
            output("collectstatic", "--noinput", *options)
    assert (tmp_path / "source" / "a.txt").exists()


def test_static_files_that_are_where_they_are_copied_to_stay(tmp_path) -> None:
    """By a prefix, or by a link to a folder in STATIC_ROOT."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("kept")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "source")
    for root, prefix in (("root", "linked"), (".", "source")):
        source = [(prefix, tmp_path / "source")]
        with override_settings(STATIC_ROOT=tmp_path / root, STATICFILES_DIRS=source, INSTALLED_APPS=[]):
            assert output("collectstatic", "--noinput").startswith("0 static files copied")
        assert (tmp_path / "source" / "a.txt").read_text() == "kept"


def test_what_a_link_in_static_root_leads_to_is_not_written(tmp_path) -> None:
    """An earlier ``collectstatic --link`` of Django leaves links to the sources there."""
    (tmp_path / "root").mkdir()
    (tmp_path / "kept.txt").write_text("kept")
    (tmp_path / "root" / "notes.txt").symlink_to(tmp_path / "kept.txt")
    with override_settings(STATIC_ROOT=tmp_path / "root"):
        output("collectstatic", "--noinput")
    assert (tmp_path / "kept.txt").read_text() == "kept"
    assert not (tmp_path / "root" / "notes.txt").is_symlink()


def test_static_root_may_be_a_link(tmp_path) -> None:
    """A folder that is mounted cannot be deleted either, only emptied."""
    folder, elsewhere, root = (tmp_path / name for name in ("folder", "elsewhere", "root"))
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "a.txt").touch()
    (folder / "b.txt").touch()
    elsewhere.mkdir()
    (elsewhere / "kept.txt").touch()
    (folder / "link").symlink_to(elsewhere)
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    root.symlink_to(folder)
    with override_settings(STATIC_ROOT=root):
        output("collectstatic", "--noinput", "--clear")
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt", "rooms"]
    assert root.is_symlink() and (elsewhere / "kept.txt").exists()


def test_a_mount_point_below_static_root_is_emptied(tmp_path, monkeypatch) -> None:
    mounted = tmp_path / "old" / "mounted"
    (mounted / "folder").mkdir(parents=True)
    (mounted / "folder" / "a.txt").touch()
    (mounted / "b.txt").touch()
    rmdir = Path.rmdir

    def refuses_what_is_mounted(path: Path) -> None:
        if path == mounted:
            raise OSError(errno.EBUSY, "Device or resource busy")
        rmdir(path)

    monkeypatch.setattr(Path, "rmdir", refuses_what_is_mounted)
    with override_settings(STATIC_ROOT=tmp_path):
        output("collectstatic", "--noinput", "--clear")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "old", "rooms"]
    assert [*tmp_path.glob("old/**/*")] == [mounted]


def test_a_new_app(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call_command("startapp", "my_chat")
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.py")}
    names = ("__init__", "admin", "apps", "migrations/__init__", "models", "tests", "views")
    assert files == {f"my_chat/{name}.py" for name in names}
    assert "class MyChatConfig(AppConfig):" in (tmp_path / "my_chat" / "apps.py").read_text()
    for path in tmp_path.rglob("*.py"):
        exec(compile(path.read_text(), str(path), "exec"), {})
    with pytest.raises(CommandError, match="is there already"):
        call_command("startapp", "my_chat")
    with pytest.raises(CommandError, match="is there already"):
        call_command("startapp", "other", "my_chat")
    with pytest.raises(CommandError, match="there is no folder"):
        call_command("startapp", "other", "nowhere")
    with pytest.raises(CommandError, match="an app's name is a Python name"):
        call_command("startapp", "my-chat")
    with pytest.raises(CommandError, match="which name is the app to have"):
        call_command("startapp")


def test_shell_runs_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("shell", command="from django.conf import settings\nprint(settings.ROOT_URLCONF)")
    assert capsys.readouterr().out == f"{PACKAGE}.urls\n"


def test_bases_for_commands() -> None:
    class Sub(BaseCommand):
        def add_arguments(self, parser):
            below = parser.add_subparsers(dest="what", required=True)
            below.add_parser("one").add_argument("--x", required=True)

        def handle(self, *args, **options):
            return f"{options['what']} {options['x']}"

    assert call_command(Sub(stdout=io.StringIO()), "one", "--x", "1") == "one 1"
    with pytest.raises(CommandError, match="required: --x"):
        call_command(Sub(), "one")
    with pytest.raises(NotImplementedError):
        BaseCommand().handle()

    class Required(BaseCommand):
        def add_arguments(self, parser):
            parser.add_argument("--name", required=True)

        def handle(self, *args, **options):
            return options["name"]

    assert call_command(Required(stdout=io.StringIO()), name="x") == "x"


async def shown(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI_APPLICATION."""
    await send({"type": "scope", "path": scope["path"], "root_path": scope["root_path"]})


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_runserver_tells_the_application_of_force_script_name(kind: str) -> None:
    for script_name, root_path in ((None, "of the server"), ("/below", "/below")):
        with override_settings(FORCE_SCRIPT_NAME=script_name):
            application = runserver.load(f"{__name__}:shown")
        scope = {"type": kind, "path": "/below/a/", "root_path": "of the server", "headers": []}
        seen = await ApplicationCommunicator(application, scope).receive_output()
        assert (seen["path"], seen["root_path"]) == ("/below/a/", root_path)
