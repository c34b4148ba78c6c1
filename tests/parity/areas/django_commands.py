"""channels.management: the command runworker, and the app's config. Only with the real Django."""

from channels.apps import ChannelsConfig
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.management.commands.runworker import Command
from django.apps import apps
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.test import override_settings

application = object()


class Stops:
    """Takes the worker's place: tells what it was made with."""

    made = []

    def __init__(self, **kwargs):
        self.made.append(kwargs)

    def run(self):
        self.made.append("run")


def run(*args, **options):
    try:
        return call_command("runworker", *args, **options)
    except CommandError as error:
        return "CommandError: " + str(error).partition(".")[0]


def script(tell):
    config = apps.get_app_config("channels")
    tell(
        "config",
        [type(config).__name__, config.name, config.verbose_name, isinstance(config, ChannelsConfig)],
    )
    tell("runworker is of", get_commands().get("runworker"))
    command = load_command_class("channels", "runworker")
    tell("its class", isinstance(command, Command))
    parser = command.create_parser("manage.py", "runworker")
    for arguments in (["a", "b"], ["--layer", "x", "a"]):
        given = parser.parse_args(arguments)
        tell(f"arguments {arguments}", [given.channels, given.layer])
    tell.calls("no channels", lambda: run())
    with override_settings(CHANNEL_LAYERS={}):
        tell("no layers", run("a"))
    Command.worker_class = Stops
    with override_settings(ASGI_APPLICATION="areas.django_commands.application"):
        with override_settings(CHANNEL_LAYERS={"x": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}):
            tell("another layer", run("a", layer="x"))
        old = channel_layers.set("default", InMemoryChannelLayer())
        tell("runs", run("a", "b"))
        channel_layers.set("default", old)
    for made in Stops.made:
        if isinstance(made, dict):
            tell("made with", sorted(made))
            tell("application", made["application"] is application)
            tell("channels", made["channels"])
            tell("layer", type(made["channel_layer"]).__name__)
        else:
            tell("then", made)
