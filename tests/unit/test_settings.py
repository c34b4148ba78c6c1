"""Where settings come from, in which order, and what an error says."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from compat.exceptions import ImproperlyConfigured
from compat.settings import Settings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("COMPAT_SETTINGS_MODULE", raising=False)
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    return Settings()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shop_settings.py").write_text("ALLOWED_HOSTS = ['shop.example']\nSHOP = 'open'\n")
    yield tmp_path
    sys.modules.pop("shop_settings", None)


def test_defaults(settings: Settings) -> None:
    assert settings.ALLOWED_HOSTS == []
    assert settings.CHANNEL_THREADS == 24
    assert not settings.configured


def test_an_unknown_setting_names_the_nearest(settings: Settings) -> None:
    with pytest.raises(AttributeError, match="no setting 'CHANNEL_LAYER'; did you mean CHANNEL_LAYERS"):
        _ = settings.CHANNEL_LAYER
    assert settings.get("NOT_THERE", 7) == 7


def test_configure_wants_upper_case(settings: Settings) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"configure\(channel_layers=…\).*CHANNEL_LAYERS"):
        settings.configure(channel_layers={})


def test_the_module_named_by_the_environment(
    settings: Settings, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "shop_settings")
    assert settings.configured
    assert "shop_settings" not in sys.modules, "nothing is imported before the first look-up"
    assert settings.ALLOWED_HOSTS == ["shop.example"]
    assert settings.SHOP == "open"
    assert settings.DEBUG is False, "what the module lacks has its default"


def test_order_of_the_sources(settings: Settings, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPAT_SETTINGS_MODULE", "shop_settings")
    seen = [settings.SHOP]
    settings.add_source(lambda: SimpleNamespace(SHOP="source"))
    seen.append(settings.SHOP)
    settings.configure(SHOP="configured")
    seen.append(settings.SHOP)
    with settings.override(SHOP="outer"), settings.override(SHOP="inner"):
        seen.append(settings.SHOP)
    seen.append(settings.SHOP)
    assert seen == ["open", "source", "configured", "inner", "configured"]


def test_a_source_that_is_not_ready_is_passed_over(settings: Settings) -> None:
    settings.add_source(lambda: None)
    assert not settings.configured
    assert settings.DEBUG is False


def test_listeners_hear_of_changes(settings: Settings) -> None:
    heard: list[str] = []
    settings.on_change(heard.append)
    settings.configure(SHOP=1)
    with settings.override(STALL=2):
        pass
    assert heard == ["SHOP", "STALL", "STALL"]


def test_an_override_that_a_listener_stops_leaves_nothing(settings: Settings) -> None:
    def refuse(name: str) -> None:
        if settings.get("SHOP", None) == "refused":
            raise LookupError(name)

    settings.on_change(refuse)
    settings.configure(SHOP="open")
    with pytest.raises(LookupError, match="SHOP"), settings.override(SHOP="refused"):
        pytest.fail("the block has begun")
    assert settings.SHOP == "open"


def test_a_snapshot_holds_what_was_read_until_a_setting_changes(
    settings: Settings, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "shop_settings")
    assert settings.SHOP == "open"
    before, sources = settings.snapshot, 0

    def source() -> None:
        nonlocal sources
        sources += 1

    settings.add_source(source)
    assert settings.snapshot is not before, "a source begins: every setting is looked up anew"
    seen = [settings.SHOP, settings.SHOP]
    assert sources == 1
    settings.configure(SHOP="closed")
    seen.append(settings.SHOP)
    settings.withdraw("SHOP")
    seen.append(settings.SHOP)
    assert seen == ["open", "open", "closed", "open"]
    with pytest.raises(AttributeError, match="'SHOP' was not configured"):
        settings.withdraw("SHOP")


def test_a_source_is_asked_each_time_except_by_kept(settings: Settings) -> None:
    shop = SimpleNamespace(SHOP="open")
    settings.add_source(lambda: shop)
    kept = [settings.SHOP, settings.kept("SHOP")]
    shop.SHOP = "closed"
    assert [settings.SHOP, settings.kept("SHOP")] == ["closed", "open"] and kept == ["open", "open"]
    settings.changed("SHOP")
    assert settings.kept("SHOP") == "closed"


@pytest.mark.parametrize("between", [1, 2, 3])
def test_an_override_ends_itself_and_none_like_it(settings: Settings, between: int) -> None:
    """Was: the first one with the same values ended, and those between were in force no more."""
    with settings.override(SHOP="open"), contextlib.ExitStack() as others:
        for number in range(between):
            others.enter_context(settings.override(SHOP=number))
        with settings.override(SHOP="open"):
            assert settings.SHOP == "open"
        assert settings.SHOP == between - 1
    assert settings.get("SHOP") is None


def test_override_decorates(settings: Settings) -> None:
    @settings.override(SHOP="decorated")
    def shop() -> str:
        return str(settings.SHOP)

    assert shop() == "decorated"
    assert settings.get("SHOP") is None


def test_a_settings_module_that_is_not_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "no_such_project.settings")
    with pytest.raises(
        ImproperlyConfigured, match=r"'no_such_project\.settings' cannot be imported.*sys\.path"
    ):
        _ = settings.DEBUG


def test_an_import_error_inside_the_settings_module_is_its_own(
    settings: Settings, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "broken_settings.py").write_text("import no_such_library\n")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "broken_settings")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        _ = settings.DEBUG
