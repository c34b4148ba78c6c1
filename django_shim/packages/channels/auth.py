"""``channels.auth``: the names of ``compat.auth``, and those of Django that tests patch here."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.auth import *
    from compat.db import database_sync_to_async as database_sync_to_async
    from django_shim.with_django.auth import constant_time_compare as constant_time_compare
    from django_shim.with_django.auth import get_user_model as get_user_model
    from django_shim.with_django.auth import load_backend as load_backend  # pyright: ignore[reportAttributeAccessIssue]
    from django_shim.with_django.auth import user_logged_in as user_logged_in
    from django_shim.with_django.auth import user_logged_out as user_logged_out

NEED_DJANGO = (
    "constant_time_compare",
    "get_user_model",
    "load_backend",
    "user_logged_in",
    "user_logged_out",
)

mirror(
    __name__,
    "compat.auth",
    elsewhere={
        "database_sync_to_async": "compat.db:database_sync_to_async",
        **{name: f"django_shim.with_django.auth:{name}" for name in NEED_DJANGO},
    },
)
