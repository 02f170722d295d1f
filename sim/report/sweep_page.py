"""The results of a sweep as one page of HTML that stands alone: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.report.sweep_data import page_data

if TYPE_CHECKING:
    from sim.sweep.results import PointResult

#: In the order in which they need each other.
SCRIPTS = ("front", "format", "chart", "pareto", "panels", "table", "details", "main")


def page(results: Sequence[PointResult], store: Path, costs: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """The page; for ``costs`` see `sim.report.sweep_data.page_data`.

    Everything that comes from the store, names and reasons and designs, is data: it lies in a block that no browser
    runs, with ``<``, ``>`` and ``&`` escaped, and the script puts it on the page as text only. A content security
    policy forbids every load, and every script but this one.
    """
    data = page_data(results, store, costs)
    script = script_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sweeps = ", ".join(dict.fromkeys(group["sweep"] for group in data["groups"]))
    parts = {
        "TITLE": html.escape(f"Sweep {sweeps}"),
        "POLICY": f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        "STYLE": asset("sweep.css"),
        "DATA": script_safe(data),
        "SCRIPT": script,
    }
    return re.sub(f"@({'|'.join(parts)})@", lambda found: parts[found[1]], asset("sweep.html"))


def script_text() -> str:
    """The page's script: its parts, each in sight of the ones before it and of nothing else on the page."""
    parts = "\n".join(asset(f"sweep_{name}.js") for name in SCRIPTS)
    return f'(function () {{\n"use strict";\n{parts}}})();\n'


def asset(name: str) -> str:
    """A file of ``sim/report/assets``."""
    return (resources.files("sim.report") / "assets" / name).read_text("utf-8")


def script_safe(data: Any) -> str:
    """JSON that can neither end the ``<script>`` around it nor be anything but JSON."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
