"""Hooks of the documentation's build: what lies outside of docs/, and what readers without a mouse need."""

from __future__ import annotations

import re
from collections import Counter
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
}
"""Files of the checkout that are pages of the site, and where."""


def on_files(files: Files, config: Any) -> Files:
    """Add what is not in docs/."""
    for source, target in PAGES.items():
        files.append(File.generated(config, target, abs_src_path=str(REPO / source)))
    for plot in sorted((REPO / "bench" / "plots").glob("*.svg")):
        files.append(File.generated(config, f"bench/plots/{plot.name}", abs_src_path=str(plot)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that lead out of docs/ in the checkout, or into it from elsewhere, stay inside of the site."""
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
    """What may be wider than the window is scrolled with the keyboard, and what has no name gets one."""
    # Not on the <code>, from which the theme's script takes it away where there is no mouse.
    html = re.sub(r"<pre([^>]*)>(?=(?:<span></span>)?<code>)", r'<pre\1 tabindex="0">', html)
    # A class of its own keeps the theme's script from wrapping the table in something that has no focus.
    html = html.replace("<table>", '<div class="scrolls" tabindex="0"><table class="plain">')
    html = html.replace("</table>", "</table></div>")
    # Drawings are not shrunk until nobody can read them.
    drawing = r'<div class="scrolls drawing" tabindex="0">\1</div>'
    html = re.sub(r"<p>(<img [^>]*\.svg\"[^>]*>)</p>", drawing, html)
    html = re.sub(r"<th([^>]*)></th>", r"<td\1></td>", html)
    seen: Counter[str] = Counter()
    html = re.sub(r'(<nav class="md-nav" aria-label=")([^"]+)"', lambda nav: _distinct(nav, seen), html)
    dialog = 'data-md-component="search" role="dialog"'
    return html.replace(dialog, f'{dialog} aria-label="Search"')


def _distinct(nav: re.Match[str], seen: Counter[str]) -> str:
    """Lists of a table of contents are told apart by their names, in whatever case."""
    name = nav[2].lower()
    seen[name] += 1
    number = f" ({seen[name]})" if seen[name] > 1 else ""
    return f'{nav[1]}{nav[2]}{number}"'
