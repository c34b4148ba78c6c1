"""The part of Django that a Channels project touches, for machines without Django.

``django_shim`` serves this folder under the name ``django``, unless the real Django is
installed. Modules and names are those of Django: pages, URLs, templates, settings, management
commands. A missing name raises an ImportError that says to install Django.
"""

from __future__ import annotations

__all__ = ["VERSION", "get_version", "setup"]

VERSION = (5, 2, 0, "final", 0)
"""The version that the subset follows; code that branches on it takes the right branch."""


def get_version() -> str:
    """Return ``VERSION`` as text."""
    from .utils.version import get_version

    return get_version(VERSION)


__version__ = "5.2"


def setup(set_prefix: bool = True) -> None:
    """Read the settings, configure logging and load the apps, which are not loaded again the next time.

    With ``set_prefix``, URLs begin with FORCE_SCRIPT_NAME where no request is served.
    Raises ImproperlyConfigured when no settings are named.
    """
    from .apps import apps
    from .conf import settings
    from .urls import set_script_prefix
    from .utils.log import configure_logging

    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    if set_prefix:
        set_script_prefix(settings.FORCE_SCRIPT_NAME or "/")
    apps.populate(settings.INSTALLED_APPS)


if __name__ == "django":
    from .unserved import attribute_of, install_finders

    install_finders()
    __getattr__ = attribute_of(__name__)
else:
    # Imported as django_shim.django: this module is thrown away, and the one called django takes its place.
    from django_shim.stand_in import stand_in

    stand_in()
