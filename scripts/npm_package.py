"""The npm package: scripts/npm_package.py FOLDER TYPESCRIPT (the folder of the package ``typescript``)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

import compat  # noqa: E402
from compat.client.page import bare, classic, source  # noqa: E402

README = """# channels-compat

A WebSocket that survives the loss of its connection, for servers that run channels-compat.

    import { Socket } from "channels-compat";

    const socket = new Socket("/ws/chat/lobby/");

It has the interface of `WebSocket`. The package is the file that the server itself answers under
`/_channels/socket.mjs`, with its types; it has no dependencies.
"""


def types(typescript: Path, folder: Path) -> None:
    """Check the module strictly, and write ``socket.d.mts`` without the private members."""
    options = {
        "allowJs": True,
        "checkJs": True,
        "declaration": True,
        "emitDeclarationOnly": True,
        "lib": ["es2020", "dom"],
        "module": "es2020",
        "moduleResolution": "bundler",
        "noImplicitReturns": True,
        "noUnusedLocals": True,
        "noUnusedParameters": True,
        "outDir": ".",
        "strict": True,
        "target": "es2020",
        "types": [],
    }
    config = folder / "tsconfig.json"
    config.write_text(json.dumps({"compilerOptions": options, "files": ["socket.mjs"]}), encoding="utf-8")
    subprocess.run(["node", str(typescript / "bin" / "tsc"), "--project", str(config)], check=True)
    config.unlink()
    declarations = folder / "socket.d.mts"
    text = with_events(public(declarations.read_text(encoding="utf-8")))
    declarations.write_text(text, encoding="utf-8")


HEARD = """export interface SocketEvents {
    open: Event;
    message: MessageEvent;
    close: CloseEvent;
    error: Event;
    offline: CustomEvent<{code: number}>;
    resumed: CustomEvent<{recovered: "all" | "groups" | "", why: string}>;
    unsure: CustomEvent<{frames: Data[]}>;
}
"""
LISTENERS = "".join(
    f"""    {verb}EventListener<Type extends keyof SocketEvents>(
        type: Type,
        listener: (this: Socket, event: SocketEvents[Type]) => any,
        options?: boolean | {options},
    ): void;
    {verb}EventListener(
        type: string,
        listener: EventListenerOrEventListenerObject | null,
        options?: boolean | {options},
    ): void;
"""
    for verb, options in (("add", "AddEventListenerOptions"), ("remove", "EventListenerOptions"))
)


HANDLERS = "".join(
    f"    on{kind}: ((event: SocketEvents[{json.dumps(kind)}]) => any) | null;\n"
    for kind in re.findall(r"^    (\w+):", HEARD, flags=re.MULTILINE)
)
CONSTANTS = "".join(
    f"    {static}readonly {name}: {value};\n"
    for static in ("static ", "")
    for value, name in enumerate(("CONNECTING", "OPEN", "CLOSING", "CLOSED"))
)


def with_events(declarations: str) -> str:
    """Return declarations with what the module defines in loops: handlers and constants of a socket.

    Its listeners know their events, as those of a WebSocket do.

    Raises ValueError if there is no such class.
    """
    begin = "export class Socket extends EventTarget {\n"
    if begin not in declarations:
        raise ValueError(f"the declarations have no {begin.strip()!r}")
    return declarations.replace(begin, HEARD + begin + CONSTANTS + HANDLERS + LISTENERS)


def public(declarations: str) -> str:
    """Return declarations without the members whose names begin with an underscore."""
    comment = r"(?: {4}/\*\*(?:(?!\*/).)*\*/\n)?"
    member = rf"^{comment} {{4}}_\w+[^\n]*\n(?: {{5,}}[^\n]*\n| {{4}}\}}[^\n]*\n)*"
    return re.sub(member, "", declarations, flags=re.MULTILINE | re.DOTALL)


def build(folder: Path, typescript: Path) -> None:
    """Write the package into ``folder``, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "socket.mjs").write_text(source(), encoding="utf-8")
    (folder / "socket.js").write_text(classic(bare(source())), encoding="utf-8")
    types(typescript, folder)
    # What the server answers, without the comments that have become the types.
    (folder / "socket.mjs").write_text(bare(source()), encoding="utf-8")
    package = {
        "name": "channels-compat",
        "version": npm_version(compat.__version__),
        "description": "A WebSocket that survives the loss of its connection",
        "license": "BSD-3-Clause",
        "exports": {
            ".": {"types": "./socket.d.mts", "default": "./socket.mjs"},
            "./socket.js": "./socket.js",
        },
        "files": ["LICENSE", "README.md", "socket.d.mts", "socket.js", "socket.mjs"],
    }
    (folder / "package.json").write_text(json.dumps(package, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
    shutil.copyfile(REPO / "LICENSE", folder / "LICENSE")


def npm_version(version: str) -> str:
    """Return a Python version as npm spells it: ``0.2.0rc1`` is ``0.2.0-rc.1``."""
    return re.sub(r"^(\d+\.\d+\.\d+)\.?([a-z]+)(\d+)$", r"\1-\2.\3", version)


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]).resolve())
