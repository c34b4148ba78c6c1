"""Load the layer of the installed package instead of ours: ``"UPSTREAM": True`` beside a BACKEND.

The package is simply imported unless its name is taken: under the shim, ``channels_redis`` is our module.
Then the installed package is loaded under another name. Its relative imports stay inside it, and its imports
from ``channels`` get the module that has this name in the process.
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
"""``channels_redis`` is loaded as ``channels_redis_upstream`` if its own name is taken."""

EXTRAS = {"channels_redis": "channels-redis"}
"""Maps a package to the extra that installs it."""

_lock = threading.RLock()


def load_upstream(path: str, alias: str) -> Any:
    """Return the class at the dotted ``path`` of the installed package; ``alias`` is for error messages.

    Raises InvalidChannelLayerError if the package is not installed (it then names the extra) or lacks the
    class.
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
    """Return the name under which the installed package can be imported; raise ImportError without one."""
    spec = _installed(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    found = _claimed(package)
    if found is not None and found.origin == spec.origin:
        return package
    with _lock:
        return _load_beside(package, spec)


def _installed(package: str) -> ModuleSpec | None:
    """Return the spec of the package on ``sys.path``, even if another finder serves its name."""
    return PathFinder.find_spec(package)


def _claimed(package: str) -> ModuleSpec | None:
    """Return the spec of the module that ``import`` would return, or None."""
    try:
        return importlib.util.find_spec(package)
    except ValueError:  # a module without a spec was made by hand, so it is not the installed package
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
