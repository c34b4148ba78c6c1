"""What ``channels-compat check`` and ``port`` do to a project's files; the commands are in ``compat.cli``.

sources      which files, and what they are called when imported
references   pure: what one file refers to, by its syntax tree
environment  packages of other people: are they here, and do they need Django?
served       what the shim serves, and what ``compat`` has
judge        what becomes of one reference
templates    what the template engine of the subset lacks
project      the whole project: who imports whom, and which files run unchanged
report       the findings as text, JSON or annotations for GitHub
rewrite      the imports of one file, as they are to be (LibCST)
idioms       the settings and routes of one file, likewise
repository   is the work tree of git clean?
"""

from __future__ import annotations

__all__: list[str] = []
