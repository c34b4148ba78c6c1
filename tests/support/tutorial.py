"""The Channels tutorial, laid out byte for byte from the acceptance material, and copied for each use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.environments import environment
from tests.support.paths import acceptance_material
from tests.support.processes import child_environment

__all__ = ["Tutorial"]


class Tutorial:
    """Lays the tutorial out under `folder`.

    A variant is a step ("echo", before the channel layer; "room", with it), a layer ("memory" or "redis") and
    the port that settings.py names for Redis.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._copies = 0

    def project(self, *, step: str = "room", layer: str = "memory", redis_port: int = 6379) -> Path:
        """A fresh copy of the variant, with no database file yet."""
        original = self.folder / f"{step}-{layer}-{redis_port}"
        if not original.exists():
            self._lay_out(original, step, layer, redis_port)
        self._copies += 1
        copy = self.folder / f"{original.name}-copy{self._copies}"
        shutil.copytree(original, copy)
        return copy

    def _lay_out(self, dest: Path, step: str, layer: str, redis_port: int) -> None:
        script = acceptance_material() / "acceptance" / "make_tutorial.py"
        admin = environment("django").path("django-admin")
        command = [sys.executable, str(script), str(dest), "--django-admin", admin]
        command += ["--step", step, "--layer", layer, "--redis-port", str(redis_port)]
        subprocess.run(command, env=child_environment(), check=True, stdin=subprocess.DEVNULL, timeout=120)
