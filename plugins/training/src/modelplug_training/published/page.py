"""Base against tuned as one HTML file: the figures, and every row side by side."""

from __future__ import annotations

from html import escape

from modelplug.types import Comparison

_HEAD = """<!doctype html>
<html><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }}
table {{ border-collapse: collapse; width: 100%; margin: 1em 0 }}
th, td {{ border-bottom: 1px solid #8884; padding: .4em .6em; text-align: left }}
td {{ vertical-align: top }}
td {{ white-space: pre-wrap; overflow-wrap: anywhere }}
.right {{ color: #080 }} .number {{ text-align: right; font-variant-numeric: tabular-nums }}
</style></head><body>
"""


def write(told: Comparison) -> None:
    """The page of *told*. All texts are shown as they are: none of them is taken for HTML."""
    title = f"{told.base} against {told.tuned}"
    parts = [_HEAD.format(title=escape(title)), f"<h1>{escape(title)}</h1>\n<table>\n"]
    parts.append("<tr><th>metric<th>base<th>tuned<th>change</tr>\n")
    for name, (a, b) in told.metrics.items():
        cells = "".join(
            f'<td class="number">{each}' for each in (f"{a:.3f}", f"{b:.3f}", f"{b - a:+.3f}")
        )
        parts.append(f"<tr><td>{escape(name)}{cells}</tr>\n")
    parts.append("</table>\n")
    parts += [f"<p>{escape(remark)}</p>\n" for remark in told.remarks]
    parts.append("<table>\n<tr><th>asked<th>wanted<th>base<th>tuned</tr>\n")
    for row in told.rows:
        said = "".join(
            f"<td{_mark(row['wanted'], row[side])}>{escape(str(row[side]))}"
            for side in ("base", "tuned")
        )
        asked, wanted = escape(str(row["asked"])), escape(str(row["wanted"]))
        parts.append(f"<tr><td>{asked}<td>{wanted}{said}</tr>\n")
    parts.append("</table></body></html>\n")
    told.page.write_text("".join(parts), encoding="utf-8")


def _mark(wanted: str, said: str) -> str:
    right = said.strip() in [each.strip() for each in wanted.split(" | ")]
    return ' class="right"' if right else ""
