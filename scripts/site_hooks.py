"""Hooks of the documentation's build: pages from outside of docs/, and keyboard access."""

from __future__ import annotations

import re
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

__all__ = ["on_files", "on_page_markdown", "on_post_page", "on_post_template"]

REPO = Path(__file__).resolve().parents[1]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "bench/README.md": "bench/README.md",
    "bench/REPORT.md": "bench/REPORT.md",
    "bench/faults/RESULTS.md": "bench/faults/RESULTS.md",
}
"""Files of the checkout that are pages of the site, and their paths there."""

CODE = re.compile(
    r'<div class="highlight">((?:<span class="filename">[^<]*</span>)?<pre[^>]*>(?:<span></span>)?)<code>'
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in docs/."""
    for source, target in PAGES.items():
        files.append(File.generated(config, target, abs_src_path=str(REPO / source)))
    for plot in sorted((REPO / "bench" / "plots").glob("*.svg")):
        files.append(File.generated(config, f"bench/plots/{plot.name}", abs_src_path=str(plot)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Change links between docs/ and other folders of the checkout to links within the site."""
    top = "../" * page.file.src_uri.count("/")
    for source, target in PAGES.items():
        markdown = markdown.replace(f"](../{source})", f"]({top}{target})")
    return re.sub(
        r"\]\((?:\.\./)*(?:docs/([^)]+)|(?:\.\./)(bench/[^)]+))\)",
        lambda link: f"]({top}{link[1] or link[2]})",
        markdown,
    )


def on_post_page(output: str, **_: Any) -> str:
    return readable(output)


def on_post_template(output: str, template_name: str, **_: Any) -> str:
    return readable(output) if template_name.endswith(".html") else output


def readable(html: str) -> str:
    """Make wide elements scrollable with the keyboard, and give every landmark a name."""
    # Not on the <code>: the theme's script removes it there on devices without a mouse.
    html = re.sub(r"<pre([^>]*)>(?=(?:<span></span>)?<code>)", r'<pre\1 tabindex="0">', html)
    numbers = count(1)
    html = re.sub(CODE, lambda code: _with_copy_button(code, next(numbers)), html)
    # The class keeps the theme's script from wrapping the table in an element without focus.
    html = html.replace("<table>", '<div class="scrolls" tabindex="0"><table class="plain">')
    html = html.replace("</table>", "</table></div>")
    # Drawings keep a readable size.
    drawing = r'<div class="scrolls drawing" tabindex="0">\1</div>'
    html = re.sub(r"<p>(<img [^>]*\.svg\"[^>]*>)</p>", drawing, html)
    html = re.sub(r"<th([^>]*)></th>", r"<td\1></td>", html)
    seen: Counter[str] = Counter()
    html = re.sub(r'(<nav class="md-nav" aria-label=")([^"]+)"', lambda nav: _distinct(nav, seen), html)
    dialog = 'data-md-component="search" role="dialog"'
    return html.replace(dialog, f'{dialog} aria-label="Search"')


def _with_copy_button(code: re.Match[str], number: int) -> str:
    """Put a copy button in front of a block of code; the theme's script, which listens for it, copies."""
    button = f'<button type="button" class="copy" data-clipboard-target="#code-{number}">Copy</button>'
    return f'<div class="highlight">{button}{code[1]}<code id="code-{number}">'


def _distinct(nav: re.Match[str], seen: Counter[str]) -> str:
    """Number the tables of contents that have the same name."""
    name = nav[2].lower()
    seen[name] += 1
    number = f" ({seen[name]})" if seen[name] > 1 else ""
    return f'{nav[1]}{nav[2]}{number}"'
