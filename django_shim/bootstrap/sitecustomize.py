"""The first door: Python imports this file at start-up, because the launcher put its folder on PYTHONPATH.

Child interpreters (workers, reloaders, ``multiprocessing``) inherit PYTHONPATH and so the shim. Whatever
``sitecustomize`` the environment has of its own still runs, after this one.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

HERE = os.path.dirname(os.path.abspath(__file__))


def install_shim() -> None:
    """Install the shim, or say on stderr why this interpreter goes without."""
    try:
        import django_shim
    except ImportError:
        print(
            f"django-shim: {sys.executable} does not have channels-compat installed, so 'import channels' is "
            "left alone there; install it in that environment",
            file=sys.stderr,
        )
    else:
        django_shim.install()


def run_next_sitecustomize() -> None:
    """Run the ``sitecustomize`` that Python would have found without this one, under its own name."""
    elsewhere = [entry for entry in sys.path if os.path.abspath(entry) != HERE]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is None or spec.loader is None:
        return
    from importlib.util import (
        module_from_spec,
    )  # not at the top: few environments have one, and all would pay

    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


install_shim()
run_next_sitecustomize()
