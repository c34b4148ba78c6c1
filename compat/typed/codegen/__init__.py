"""Generating a client from an AsyncAPI document: a package that stands on its own."""

from __future__ import annotations

from compat.typed.codegen.package import CannotGenerate, client_files, write_client

__all__ = ["CannotGenerate", "client_files", "write_client"]
