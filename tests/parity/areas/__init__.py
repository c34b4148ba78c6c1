"""Scripts that run inside one process, against whatever `channels` is installed there: one per area.

Each has a function `script(tell)`, plain or async; `tell(what, value)` writes a line of the transcript.
One whose name begins with "django_" needs the real Django.
"""
