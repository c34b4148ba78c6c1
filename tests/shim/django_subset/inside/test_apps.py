"""Apps, models that are not there, signals, and names that only the real Django has."""

from __future__ import annotations

import enum
import importlib
import importlib.util
import sys

import django
import pytest
from django.apps import AppConfig, apps
from django.conf import settings
from django.core.exceptions import AppRegistryNotReady, ImproperlyConfigured
from django.dispatch import Signal, receiver
from django.test import override_settings
from django.utils.module_loading import module_has_submodule

PACKAGE = "tests.shim.django_subset.inside"


def test_the_version() -> None:
    assert django.VERSION >= (4, 2) and django.__version__ == django.get_version() == "5.2"
    from django.utils.version import get_version

    assert get_version((6, 0, 1, "rc", 2)) == "6.0.1rc2"


def test_the_projects_apps_are_loaded_once() -> None:
    from tests.shim.django_subset.inside.rooms.apps import RoomsConfig

    django.setup()
    config = apps.get_app_config("rooms")
    assert isinstance(config, RoomsConfig) and RoomsConfig.was_ready == 1
    assert (config.name, config.verbose_name) == (f"{PACKAGE}.rooms", "The rooms") and config.path.endswith(
        "rooms"
    )
    assert (
        list(apps.get_app_configs()) == [config]
        and list(config.get_models()) == list(apps.get_models()) == []
    )
    assert (
        apps.is_installed("django.contrib.auth")
        and apps.is_installed(config.name)
        and not apps.is_installed("x")
    )
    assert apps.get_containing_app_config(f"{PACKAGE}.rooms.views.x") is config
    assert apps.get_containing_app_config("elsewhere") is None
    assert apps.ready and not apps.loading and "rooms" in repr(config)
    with pytest.raises(LookupError, match="there is no app with the label 'nope'"):
        apps.get_app_config("nope")
    with pytest.raises(LookupError, match="Its label is 'rooms'"):
        apps.get_app_config(f"{PACKAGE}.rooms")
    for look in (
        lambda: apps.get_model("rooms", "Room"),
        lambda: apps.get_model("rooms.Room"),
        lambda: config.get_model("Room"),
    ):
        with pytest.raises(LookupError, match=r"The model rooms\.Room needs the real Django"):
            look()


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ("nowhere.app", ImproperlyConfigured, "INSTALLED_APPS has 'nowhere.app', and there is neither"),
        (f"{PACKAGE}.views.home", ImproperlyConfigured, "and that is no AppConfig"),
        ("django_shim_no_such", ImproperlyConfigured, "install it"),
    ],
)
def test_a_wrong_app_is_named(entry: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        override_settings(INSTALLED_APPS=[entry]).enable()
    assert entry not in settings.INSTALLED_APPS and apps.is_installed(f"{PACKAGE}.rooms")


def test_apps_by_their_config_and_in_any_package(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "__init__.py").touch()
    (tmp_path / "several").mkdir()
    (tmp_path / "several" / "__init__.py").touch()
    (tmp_path / "several" / "apps.py").write_text(
        "from django.apps import AppConfig\n"
        "class One(AppConfig):\n    name = 'several'\n    label = 'uno'\n"
        "class Two(AppConfig):\n    name = 'several'\n    default = True\n    label = 'due'\n"
    )
    with override_settings(INSTALLED_APPS=["plain", "several"]):
        assert [(one.label, one.verbose_name) for one in apps.get_app_configs()] == [
            ("plain", "Plain"),
            ("due", "Due"),
        ]
    with override_settings(INSTALLED_APPS=["several.apps.One"]):
        assert apps.get_app_config("uno").name == "several"
    assert apps.get_app_config("rooms")
    with pytest.raises(ImproperlyConfigured, match="two apps have the label 'plain'"):
        AppsOf(["plain", "plain"])
    with pytest.raises(ImproperlyConfigured, match="a label that is a Python name, not 'bad-label'"):
        AppConfig("bad-label", None)
    with pytest.raises(ImproperlyConfigured, match="is in no folder"):
        AppConfig("nofolder", None)


def AppsOf(entries: list[str]):
    from django.apps.registry import Apps

    made = Apps()
    with pytest.raises(AppRegistryNotReady):
        made.check_apps_ready()
    made.populate(entries)
    return made


# Models


def test_files_of_a_new_app_import() -> None:
    namespace: dict[str, object] = {}
    exec(
        "from django.contrib import admin\nfrom django.apps import AppConfig\nfrom django.db import models\n"
        "from django.test import TestCase\nfrom django.shortcuts import render\n"
        "class ChatConfig(AppConfig):\n    default_auto_field = 'django.db.models.BigAutoField'\n    name "
        "= 'chat'\n",
        namespace,
    )
    from django.contrib import admin

    admin.site.register([object])
    admin.site.site_header = "Mine"


def test_defining_a_model_names_it_and_the_cure() -> None:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import AbstractUser
    from django.db import models

    with pytest.raises(
        ImportError, match=rf"The model {__name__}\.Message needs the real Django.*pip install django"
    ):

        class Message(models.Model):
            author = models.ForeignKey(get_user_model(), on_delete=models.CASCADE, related_name="+")
            other = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET(None), null=True)
            text = models.CharField(max_length=100)
            sent = models.DateTimeField(auto_now_add=True)
            data = models.JSONField(default=dict)
            objects = models.Manager()

            class Meta:
                ordering = ["sent"]
                constraints = [models.UniqueConstraint(fields=["text"], name="x")]

    with pytest.raises(ImportError, match="Person needs the real Django"):

        class Person(AbstractUser):
            pass


def test_parts_of_queries_are_names_until_they_are_used() -> None:
    from django.db import IntegrityError, connection, connections, models, reset_queries, transaction

    for make in (lambda: models.Q(a=1), lambda: models.F("a"), lambda: models.Count("a")):
        with pytest.raises(ImportError, match="needs the real Django"):
            make()
    with pytest.raises(AttributeError, match=r"Manager\.filter needs the real Django"):
        models.Manager().filter()
    with pytest.raises(AttributeError, match="needs the real Django"):
        models.QuerySet.as_manager().all()
    assert issubclass(models.Manager.from_queryset(models.QuerySet), models.Manager)
    with pytest.raises(AttributeError, match=r"django\.db\.connection\.cursor needs the real Django"):
        connection.cursor()
    connection.close()
    connection.close_if_unusable_or_obsolete()
    connections.close_all()
    reset_queries()
    assert (
        connections["default"] is connection and connections.all() == [] and list(connections) == ["default"]
    )
    assert issubclass(IntegrityError, Exception)

    @transaction.atomic
    def save():
        raise AssertionError("not reached")

    with pytest.raises(ImportError, match=r"transaction\.atomic \(.*save\) needs the real Django"):
        save()
    with pytest.raises(ImportError, match="needs the real Django"), transaction.atomic(using="default"):
        raise AssertionError("not reached")
    for call in (lambda: transaction.on_commit(print), transaction.commit, transaction.rollback):
        with pytest.raises(ImportError):
            call()
    assert transaction.non_atomic_requests(print) is print


def test_choices_need_no_database() -> None:
    from django.db import models

    class Status(models.TextChoices):
        OPEN = "o", "Open to all"
        CLOSED = "c"

    class Size(models.IntegerChoices):
        SMALL = 1, "S"
        LARGE = 2, "L"

    class Maybe(models.TextChoices):
        YES = "y"
        __empty__ = "(unknown)"

    assert Status.choices == [("o", "Open to all"), ("c", "Closed")] and Status.OPEN == "o"
    assert Status.OPEN.label == "Open to all" and str(Status.CLOSED) == "c" and Status("c") is Status.CLOSED
    assert (Size.values, Size.labels, Size.names) == (
        [1, 2],
        ["S", "L"],
        ["SMALL", "LARGE"],
    ) and Size.LARGE > Size.SMALL
    assert Maybe.choices == [(None, "(unknown)"), ("y", "Yes")]
    from django.template import Context, Template

    assert Template("{{ S.OPEN }} {{ S.OPEN.label }}").render(Context({"S": Status})) == "o Open to all"


def test_choices_that_are_named_only_and_whether_a_value_is_one() -> None:
    """The values are those of Django 5.2."""
    from django.db import models

    class Status(models.TextChoices):
        OPEN = enum.auto()
        SHUT = "s", "Closed"
        __empty__ = ""

    class Size(models.IntegerChoices):
        SMALL = enum.auto()
        LARGE = enum.auto()

    Medal = models.TextChoices("Medal", "GOLD SILVER")
    assert Status.choices == [(None, ""), ("OPEN", "Open"), ("s", "Closed")]
    assert (Status.names, Status.values) == (["__empty__", "OPEN", "SHUT"], [None, "OPEN", "s"])
    assert Size.values == [1, 2] and Medal.choices == [("GOLD", "Gold"), ("SILVER", "Silver")]
    assert "OPEN" in Status and Status.OPEN in Status and 2 in Size and None not in Status
    assert "open" not in Status and Size.SMALL not in Status and 3 not in Size and [] not in Size


def test_signals_of_models_can_be_connected_to() -> None:
    from django.db.models.signals import post_delete, post_save

    @receiver([post_save, post_delete])
    def on_change(sender, **kwargs): ...

    assert post_save.has_listeners() and post_save.disconnect(on_change) and post_delete.disconnect(on_change)


# Signals


def test_receivers_are_called_in_order_and_held_weakly() -> None:
    signal, calls = Signal(), []

    def one(sender, **named):
        calls.append(("one", sender, named["x"]))
        return 1

    def two(**named):
        return 2

    signal.connect(one)
    signal.connect(one)
    signal.connect(two, sender="only")
    assert signal.send("any", x=5) == [(one, 1)] and calls == [("one", "any", 5)]
    sender = "only"
    signal.disconnect(two, sender="only")
    signal.connect(two, sender=sender)
    assert [result for _, result in signal.send(sender, x=1)] == [1, 2]
    assert signal.has_listeners(sender)
    del two
    assert len(signal.send(sender, x=1)) == 1
    signal.connect(lambda **named: 3, weak=False, dispatch_uid="three")
    signal.connect(lambda **named: 4, weak=False, dispatch_uid="three")
    assert [result for _, result in signal.send("q", x=1)] == [1, 3]
    assert signal.disconnect(dispatch_uid="three") and not signal.disconnect(dispatch_uid="three")
    with pytest.raises(ValueError, match="takes keyword arguments"):
        signal.connect(lambda sender: None)

    class Listener:
        def hear(self, **named):
            return "heard"

    listener = Listener()
    signal.connect(listener.hear)
    assert "heard" in [result for _, result in signal.send(None, x=1)]
    assert signal.disconnect(listener.hear)


async def test_signals_reach_sync_and_async_receivers_from_both_sides(caplog) -> None:
    signal = Signal()

    async def asynchronous(**named):
        return "async"

    def synchronous(**named):
        return "sync"

    def failing(**named):
        raise KeyError("x")

    signal.connect(asynchronous)
    signal.connect(synchronous)
    assert [result for _, result in await signal.asend(None)] == ["async", "sync"]
    from asgiref.sync import sync_to_async

    assert [result for _, result in await sync_to_async(signal.send)(None)] == ["async", "sync"]
    signal.connect(failing)
    results = await signal.asend_robust(None)
    assert isinstance(results[2][1], KeyError) and "failing" in caplog.text
    results = await sync_to_async(signal.send_robust)(None)
    assert isinstance(results[2][1], KeyError)
    with pytest.raises(KeyError):
        await signal.asend(None)


# Names that only the real Django has


@pytest.mark.parametrize(
    "statement",
    [
        "import django.forms",
        "from django import forms",
        "import django.db.migrations",
        "from django.db import migrations",
        "from django.contrib.auth.forms import UserCreationForm",
        "from django.core import mail",
        "from django.core.mail import send_mail",
        "from django.core import serializers; from django.core.serializers import serialize",
        "from django.contrib.contenttypes.models import ContentType",
        "from django.contrib.auth.backends import ModelBackend",
        "from django.contrib.admin import ModelAdmin",
        "from django.template.response import TemplateResponse",
        "from django.test import LiveServerTestCase",
        "from django.utils.timesince import timesince",
        "from django.views.decorators.http import require_POST",
        "from django.views.generic import ListView",
        "from django.db.models import prefetch_related_objects",
        "import django.something.that.never.existed",
    ],
)
def test_what_is_not_served_says_install_django(statement: str) -> None:
    with pytest.raises(ImportError, match=r"needs the real Django.*pip install django"):
        exec(statement)


def test_names_that_django_does_not_have_either_are_ordinary_mistakes() -> None:
    with pytest.raises(ImportError, match=r"cannot import name 'rendr' from 'django\.shortcuts'"):
        exec("from django.shortcuts import rendr")
    with pytest.raises(ImportError, match=r"cannot import name 'Nope' from 'django\.http'"):
        exec("from django.http import Nope")


def test_asking_whether_a_name_is_there_gives_a_true_answer() -> None:
    import django.shortcuts
    import django.views.generic

    assert not hasattr(django.views.generic, "ListView") and not hasattr(django, "forms")
    assert not hasattr(django.shortcuts, "nope") and hasattr(django.shortcuts, "render")
    with pytest.raises(AttributeError, match="needs the real Django"):
        _ = django.views.generic.ListView
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = django.shortcuts.nope
    assert module_has_submodule(django, "shortcuts") and not module_has_submodule(django, "nope")


def test_nothing_is_loaded_twice() -> None:
    """``django_shim.django``, which ported projects import, is another name and not another copy."""
    for name in ("", ".urls", ".contrib.auth.models"):
        spec = importlib.import_module(f"django{name}").__spec__
        assert importlib.import_module(f"django_shim.django{name}") is sys.modules[f"django{name}"]
        assert sys.modules[f"django{name}"].__spec__ is spec
    with pytest.raises(ImportError, match="needs the real Django"):
        exec("from django_shim.django import forms")


def test_the_table_of_unserved_names_tells_the_truth() -> None:
    from django.unserved_names import UNSERVED

    for module, names in UNSERVED.items():
        served = importlib.import_module(f"django.{module}".rstrip("."))
        lying = [name for name in names if name in vars(served)]
        assert not lying, (module, lying)
        assert hasattr(served, "__path__"), f"{module} needs __path__ for 'from … import'"
        with pytest.raises(ImportError, match="needs the real Django"):
            exec(f"from {served.__name__} import {min(names)}")


def test_every_module_offers_what_it_says_and_its_examples_are_true() -> None:
    import doctest
    import pkgutil

    for info in pkgutil.walk_packages(django.__path__, "django."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        assert module.__doc__, info.name
        missing = [name for name in module.__all__ if not hasattr(module, name)]
        assert not missing and len(set(module.__all__)) == len(module.__all__), (info.name, missing)
        assert doctest.testmod(module).failed == 0, info.name
