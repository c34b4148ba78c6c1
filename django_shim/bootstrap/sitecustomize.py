"""Installs the shim in child interpreters: Python imports this module at start-up.

The launcher puts this folder on PYTHONPATH, which child interpreters (workers, reloaders,
``multiprocessing``) inherit. The environment's own ``sitecustomize`` runs after this one.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

HERE = os.path.dirname(os.path.abspath(__file__))


def install_shim() -> None:
    """Install the shim, or print on stderr why it is not available."""
    try:
        import django_shim
    except ImportError:
        print(
            f"django-shim: channels-compat is not installed for {sys.executable}, so the shim does not work "
            "there. Install channels-compat in that environment",
            file=sys.stderr,
        )
    else:
        django_shim.install()


def run_next_sitecustomize() -> None:
    """Run the ``sitecustomize`` that Python would have imported without this one."""
    elsewhere = [entry for entry in sys.path if os.path.abspath(entry) != HERE]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is None or spec.loader is None:
        return
    # Not by importlib.util, which costs each interpreter some milliseconds: Debian's Python always has one.
    module = type(sys)("sitecustomize")
    module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
    module.__package__ = spec.parent
    if spec.submodule_search_locations is not None:
        module.__path__ = spec.submodule_search_locations
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


install_shim()
run_next_sitecustomize()
