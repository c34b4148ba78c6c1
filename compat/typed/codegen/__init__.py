"""Generation of clients from an AsyncAPI document: a package for Python, a module for JavaScript."""

from __future__ import annotations

from compat.typed.codegen.channels import CannotGenerate
from compat.typed.codegen.javascript import SOCKET, client_module
from compat.typed.codegen.output import write_texts
from compat.typed.codegen.package import client_files, write_client

__all__ = ["SOCKET", "CannotGenerate", "client_files", "client_module", "write_client", "write_texts"]
