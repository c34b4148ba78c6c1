"""Generation of a client package from an AsyncAPI document."""

from __future__ import annotations

from compat.typed.codegen.package import CannotGenerate, client_files, write_client

__all__ = ["CannotGenerate", "client_files", "write_client"]
