"""What the pages on deployment show is taken by the programs that it is for."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.docs.pages import BLOCKS
from tests.support.debian import program
from tests.support.environments import environment
from tests.support.tls import certificate

pytestmark = pytest.mark.slow  # it fetches these programs


def shown(page: str, language: str, containing: str = "") -> str:
    """The one block of a page in a language that contains a text."""
    (text,) = (
        block.text
        for block in BLOCKS
        if (block.page, block.language) == (page, language) and containing in block.text
    )
    return text


def taken(command: Sequence[str], folder: Path) -> str:
    """What a program says that accepts; AssertionError if it does not."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_the_manifests_for_kubernetes(tmp_path: Path) -> None:
    (tmp_path / "chat.yaml").write_text(shown("howto/kubernetes", "yaml"))
    validator = environment("kubernetes")
    done = validator.run("kubernetes-validate", "--strict", "--no-warn", "chat.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = shown("howto/kubernetes", "yaml").replace("httpGet: {path: /live", "httpGet: {paths: /live")
    (tmp_path / "chat.yaml").write_text(wrong)
    done = validator.run("kubernetes-validate", "--strict", "--no-warn", "chat.yaml", cwd=tmp_path)
    assert done.returncode != 0, "it looks closely"


def test_the_unit_for_systemd(tmp_path: Path) -> None:
    (tmp_path / "srv/chat/.venv/bin").mkdir(parents=True)
    uvicorn = tmp_path / "srv/chat/.venv/bin/uvicorn"
    uvicorn.write_text("#!/bin/sh\n")
    uvicorn.chmod(0o755)
    unit = shown("howto/nginx", "ini").replace("/srv/chat", str(tmp_path / "srv/chat"))
    (tmp_path / "chat.service").write_text(unit)
    analyze = program("systemd", "usr/bin/systemd-analyze")
    said = taken([analyze, "verify", "--man=no", "chat.service"], tmp_path)
    assert "chat.service" not in said, said
    (tmp_path / "chat.service").write_text(unit.replace("Restart=on-failure", "Restart=maybe"))
    done = subprocess.run(
        [analyze, "verify", "--man=no", "chat.service"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "chat.service" in done.stdout + done.stderr, "it looks closely"


def test_the_configuration_of_nginx(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    text = shown("howto/nginx", "nginx")
    text = re.sub(r"(ssl_certificate\s+)\S+;", rf"\g<1>{cert};", text)
    text = re.sub(r"(ssl_certificate_key\s+)\S+;", rf"\g<1>{key};", text)
    whole = f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{text}\n}}\n"
    for place in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        whole = whole.replace("access_log off;", f"access_log off;\n{place}_temp_path {tmp_path}/{place};")
    (tmp_path / "nginx.conf").write_text(whole)
    nginx = program("nginx", "usr/sbin/nginx")
    said = taken([nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], tmp_path)
    assert "warn" not in said, said


def test_the_caddyfile(tmp_path: Path) -> None:
    (tmp_path / "Caddyfile").write_text(shown("howto/nginx", "text", "reverse_proxy"))
    caddy = program("caddy", "usr/bin/caddy")
    said = taken([caddy, "validate", "--adapter", "caddyfile", "--config", "Caddyfile"], tmp_path)
    assert "Valid configuration" in said
