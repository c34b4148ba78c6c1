"""channels.sessions and channels.auth on Django's sessions and users. Only with the real Django."""

from channels.auth import AuthMiddlewareStack, get_user, login, logout
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.testing import HttpCommunicator, WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import override_settings

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


class Saying(AsyncWebsocketConsumer):
    """Says who is there, counts in the session and saves it."""

    async def receive(self, text_data=None, bytes_data=None):
        session, user = self.scope["session"], self.scope["user"]
        if text_data == "out":
            await logout(self.scope)
            await session.asave()
        elif text_data == "in":
            await login(self.scope, await database_sync_to_async(user_called)("max"))
            await session.asave()
        elif text_data == "count":
            session["count"] = await session.aget("count", 0) + 1
            await session.asave()
        user = self.scope["user"]
        await self.send(f"{user} {user.is_authenticated} {session.get('count')}")


class SyncSaying(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        session = self.scope["session"]
        session["count"] = session.get("count", 0) + 1
        session.save()
        found = type(self.scope["user"]).__name__, self.scope["user"].get_username(), session["count"]
        self.send(str(found))


def user_called(name):
    return get_user_model().objects.get(username=name)


async def page(tell, what, cookie, act, status=200, timeout=15):
    """Tells what a request shows in which `act(scope)` was done; returns the session cookie after it."""
    scopes = []

    async def app(scope, receive, send):
        scopes.append(scope)
        try:
            await act(scope)
        except Exception as error:  # noqa: BLE001 - what is raised is what is told
            tell(what, f"raises {type(error).__name__}")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    headers = [(b"cookie", b"sessionid=" + cookie.encode())] if cookie else []
    try:
        communicator = HttpCommunicator(AuthMiddlewareStack(app), "GET", "/", headers=headers)
        response = await communicator.get_response(timeout)
    except Exception as error:  # noqa: BLE001 - the same
        tell(what, f"the response raises {type(error).__name__}")
        return cookie
    (scope,) = scopes
    sent = [value.decode().partition(";")[0].partition("=") for _, value in response["headers"]]
    new = sent[0][2].strip('"') if sent else cookie
    user = scope["user"]
    keys = await scope["session"].akeys() if scope["session"].session_key else []
    tell(what, [str(user), user.is_authenticated, user.pk, sorted(keys), [name for name, _, _ in sent]])
    tell(what, ["same key" if new == cookie else "another key" if new else "no key", response["status"]])
    return new


async def say(tell, what, consumer, cookie, *words):
    headers = [(b"cookie", b"sessionid=" + cookie.encode())] if cookie else []
    communicator = WebsocketCommunicator(AuthMiddlewareStack(consumer.as_asgi()), "/", headers=headers)
    await tell.awaits(what, communicator.connect(10))
    for word in words:
        await communicator.send_to(text_data=word)
        await tell.awaits(f"{what}: {word}", communicator.receive_from(10))
    await communicator.disconnect(timeout=10)


async def nothing(scope): ...


async def aset(scope):
    await scope["session"].aset("kept", 1)


async def rows():
    return await database_sync_to_async(Session.objects.count)()


async def script(tell):
    await database_sync_to_async(call_command)("migrate", verbosity=0)
    make = database_sync_to_async(get_user_model().objects.create_user)
    eva, other = await make("eva", password="old"), await make("max", password="x")
    heard = []

    def in_(sender, request, user, **kwargs):
        heard.append(("in", sender.__name__, request, user.username))

    def out(sender, request, user, **kwargs):
        heard.append(("out", sender.__name__, request, user and user.username))

    user_logged_in.connect(in_)
    user_logged_out.connect(out)
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.db"):
        await sessions_and_logins(tell, eva, other)
        await websockets(tell, eva)
        await what_goes_wrong(tell, eva, other)
    tell("signals", heard)


async def sessions_and_logins(tell, eva, other):
    await page(tell, "nobody", "", nothing)
    tell("rows", await rows())
    before = await page(tell, "a session without a user", "", aset)
    tell("rows", await rows())
    cookie = await page(tell, "login", before, lambda scope: login(scope, eva))
    tell("rows: the old one is gone", await rows())
    stored = await SessionStore(cookie).aload()
    tell("stored", sorted(stored))
    tell("backend", stored["_auth_user_backend"])
    cookie = await page(tell, "once more", cookie, lambda scope: login(scope, eva))
    cookie = await page(
        tell, "with a backend", cookie, lambda scope: login(scope, eva, backend=MODEL_BACKEND)
    )
    theirs = await page(tell, "somebody else on the same session", cookie, lambda scope: login(scope, other))
    tell("kept of the first", await SessionStore(theirs).aget("kept"))
    await page(tell, "the first one's cookie", cookie, nothing)
    cookie = await page(tell, "status 500", "", lambda scope: login(scope, eva), status=500)
    tell("no cookie", cookie)
    cookie = await page(tell, "login for what follows", "", lambda scope: login(scope, eva))
    scope = {"session": SessionStore(cookie)}
    tell("get_user", [str(await get_user(scope)), type(await get_user(scope)).__name__])
    await page(tell, "logout", cookie, logout_and_see(tell))
    await page(tell, "the old cookie", cookie, nothing)


def logout_and_see(tell):
    async def act(scope):
        await logout(scope)
        tell("after logout", [type(scope["user"]).__name__, scope["session"].is_empty()])

    return act


async def websockets(tell, eva):
    cookie = await page(tell, "login", "", lambda scope: login(scope, eva))
    await say(tell, "async", Saying, cookie, "who", "count", "count")
    await say(tell, "sync", SyncSaying, cookie, "count", "count")
    await say(tell, "async again", Saying, cookie, "count", "out", "who")
    await say(tell, "after the logout", Saying, cookie, "who")
    await say(tell, "nobody's", Saying, "", "who", "count")
    await say(tell, "invented", Saying, "x" * 32, "who")
    await say(tell, "short", Saying, "x", "who")
    await say(tell, "logs in on the socket", Saying, "", "in", "count", "who")


async def what_goes_wrong(tell, eva, other):
    cookie = await page(tell, "login", "", lambda scope: login(scope, eva))
    eva.set_password("new")
    await database_sync_to_async(eva.save)()
    await page(tell, "another password", cookie, nothing)
    tell("its row", await SessionStore().aexists(cookie))
    cookie = await page(tell, "login", "", lambda scope: login(scope, other))
    await database_sync_to_async(other.delete)()
    await page(tell, "a user that is gone", cookie, nothing)

    async def deletes(scope):
        await scope["session"].aset("kept", 2)
        await SessionStore(cookie).adelete()

    cookie = await page(tell, "a session", "", aset)
    await page(tell, "deleted meanwhile", cookie, deletes, timeout=6)  # upstream waits as long
    with override_settings(AUTHENTICATION_BACKENDS=[MODEL_BACKEND, "areas.django_users.Second"]):
        await page(tell, "which backend?", "", lambda scope: login(scope, eva))
        await page(tell, "that one", "", lambda scope: login(scope, eva, backend=MODEL_BACKEND))
    cookie = await page(tell, "login", "", lambda scope: login(scope, eva))
    with override_settings(AUTHENTICATION_BACKENDS=["areas.django_users.Second"]):
        await page(tell, "a backend that is no longer there", cookie, nothing)


class Second:
    def get_user(self, user_id):
        return None
