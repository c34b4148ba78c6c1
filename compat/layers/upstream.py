"""A BACKEND as its real package has it, though ours is used by default: ``"UPSTREAM": True``.

Where nothing has taken the package's name over, it is imported. Where something has (under the shim
``channels_redis`` is ours), the installed package is loaded beside it under a name of its own: its relative
imports stay in it, and what it imports from ``channels`` is what that name means in this process.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

from compat.exceptions import InvalidChannelLayerError

__all__ = ["load_upstream"]

SUFFIX = "_upstream"
"""``channels_redis`` is loaded as ``channels_redis_upstream`` where the name itself is taken."""

EXTRAS = {"channels_redis": "channels-redis"}
"""Package: the extra that installs it."""

_lock = threading.RLock()


def load_upstream(path: str, alias: str) -> Any:
    """The class at the dotted ``path``, out of the package that is installed under the path's first word.

    Raises InvalidChannelLayerError, naming the extra, when that package is not installed or has no such name.
    """
    module_name, _, attribute = path.rpartition(".")
    package, dot, rest = module_name.partition(".")
    try:
        name = _importable_name(package)
        return getattr(importlib.import_module(f"{name}{dot}{rest}"), attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidChannelLayerError(
            f'CHANNEL_LAYERS[{alias!r}] has "UPSTREAM": True, which means the installed {package} and not '
            f"the layer that this library has for {path}; but {_what_failed(package, path, error)}. Or take "
            '"UPSTREAM" out, for the layer of this library: it speaks the same wire format'
        ) from error


def _importable_name(package: str) -> str:
    """Under which name the installed package can be imported; ImportError if there is none."""
    spec = _installed(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    found = _claimed(package)
    if found is not None and found.origin == spec.origin:
        return package
    with _lock:
        return _load_beside(package, spec)


def _installed(package: str) -> ModuleSpec | None:
    """Where ``sys.path`` has the package, whoever else answers to its name."""
    return PathFinder.find_spec(package)


def _claimed(package: str) -> ModuleSpec | None:
    """What an import of the name gives."""
    try:
        return importlib.util.find_spec(package)
    except ValueError:  # a module without a spec: made by hand, and so not the installed one
        return None


def _load_beside(package: str, spec: ModuleSpec) -> str:
    name = f"{package}{SUFFIX}"
    if name not in sys.modules:
        beside = importlib.util.spec_from_file_location(
            name, spec.origin, submodule_search_locations=spec.submodule_search_locations
        )
        if beside is None or beside.loader is None:
            raise ImportError(f"{spec.origin} cannot be loaded", name=package)
        module = sys.modules[name] = importlib.util.module_from_spec(beside)
        try:
            beside.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return name


def _what_failed(package: str, path: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == package:
        extra = EXTRAS.get(package)
        wanted = f"'channels-compat[{extra}]'" if extra else package
        return f"{package} is not installed. Install it: pip install {wanted}"
    return f"{path} cannot be imported from it ({error})"
