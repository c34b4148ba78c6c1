"""The analysis and the rewriting of a project's files, for the commands ``check`` and ``port``.

sources      finds the files of a project, and their module names
references   reads the references of a file from its syntax tree
places       tells which strings are dotted paths
environment  checks foreign packages: are they installed, and do they need Django?
served       lists the modules and names of the shim and of ``compat``
advice       says what to do about a name that needs Django
judge        decides what to do about a reference
templates    finds template tags that the subset of Django lacks
findings     describes what was found in a file, and in a project
project      combines the files of a project, and follows their imports
report       formats the findings as text, JSON or annotations for GitHub
nodes        reads and makes names, strings and comments (LibCST)
rewrite      rewrites the imports of a file (LibCST)
apps         rewrites the apps in the settings of a project (LibCST)
lists        takes elements out of lists, and keeps the comments (LibCST)
namesakes    finds projects that use, or have, another package of the same name
hooks        finds methods of consumers that are of the wrong kind
idioms       rewrites the strings and routes of a file (LibCST)
repository   checks that the work tree of git is clean
"""

from __future__ import annotations

__all__: list[str] = []
