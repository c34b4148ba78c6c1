"""Class-based views for those only who are logged in."""

from __future__ import annotations

from typing import Any

from ...core.exceptions import PermissionDenied
from ...unserved import NOT_A_PACKAGE, attribute_of
from .decorators import redirect_to_login

__all__ = ["AccessMixin", "LoginRequiredMixin"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


class AccessMixin:
    """What happens to those who may not."""

    login_url: str | None = None
    permission_denied_message = ""
    raise_exception = False
    redirect_field_name = "next"

    def handle_no_permission(self) -> Any:
        """To the login page; 403 for somebody who is logged in already, or with ``raise_exception``."""
        request: Any = self.request  # type: ignore[attr-defined]  # the view's
        if self.raise_exception or request.user.is_authenticated:
            raise PermissionDenied(self.permission_denied_message)
        return redirect_to_login(request.get_full_path(), self.login_url, self.redirect_field_name)


class LoginRequiredMixin(AccessMixin):
    """Put it first among the bases of the view."""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse those who are not logged in."""
        if not request.user.is_authenticated:
            return self.handle_no_permission()
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc]  # the view's
