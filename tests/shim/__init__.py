"""The shim: imports, interpreters, and projects that run on it."""
