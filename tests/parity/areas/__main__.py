"""Runs every script of this folder and prints {area: lines} as JSON: `python -m areas` beside the folder."""

import asyncio
import importlib
import inspect
import json
import pkgutil
import re
import traceback
import warnings

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["example.org", ".example.com"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    # One database for all threads of the process, as long as one of them has it open.
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:areas?mode=memory&cache=shared"}
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "channels",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    SECRET_KEY="not a secret",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)

import django  # noqa: E402 - it is set up with the settings above

django.setup()

from channels.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator  # noqa: E402

PATIENCE_S = 5
for method in (
    ApplicationCommunicator.receive_output,
    HttpCommunicator.get_response,
    WebsocketCommunicator.connect,
    WebsocketCommunicator.receive_from,
    WebsocketCommunicator.receive_json_from,
    WebsocketCommunicator.disconnect,
):
    # A busy machine may need more than the second that is the default. Upstream waits for all of it where an
    # application fails: scripts name a second there.
    method.__defaults__ = (*method.__defaults__[:-1], PATIENCE_S)

ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def outcome(function, *args, **kwargs):
    """What a call returns, or the name of what it raises."""
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - what is raised is what is told
        return f"raises {type(error).__name__}"


async def outcome_of(awaitable):
    """The same for something to be awaited."""
    try:
        return await asyncio.wait_for(awaitable, 15)
    except Exception as error:  # noqa: BLE001 - what is raised is what is told
        return f"raises {type(error).__name__}"


class Teller:
    def __init__(self):
        self.lines = []

    def __call__(self, what, value):
        self.lines.append(f"{what}: {ADDRESS.sub('', str(value))}")

    def calls(self, what, function, *args, **kwargs):
        self(what, outcome(function, *args, **kwargs))

    async def awaits(self, what, awaitable):
        self(what, await outcome_of(awaitable))


def play(script):
    teller = Teller()
    try:
        if inspect.iscoroutinefunction(script):
            asyncio.run(script(teller))
        else:
            script(teller)
    except BaseException:  # noqa: BLE001 - the other areas go on
        teller("the script failed", traceback.format_exc())
    return teller.lines


def main():
    warnings.simplefilter("ignore")
    found = pkgutil.iter_modules(importlib.import_module("areas").__path__)
    real_django = "django_shim" not in django.__file__
    areas = sorted(
        module.name
        for module in found
        if module.name != "__main__" and (real_django or not module.name.startswith("django_"))
    )
    print(json.dumps({area: play(importlib.import_module(f"areas.{area}").script) for area in areas}))


main()
