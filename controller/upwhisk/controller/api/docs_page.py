"""A Swagger document as a page that a browser shows without scripts. ◆ pure."""

from __future__ import annotations

from html import escape
from typing import Any, Final

_STYLE: Final = (
    "body{font:15px/1.5 sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.35rem .6rem;text-align:left;"
    "vertical-align:top}code{font-size:13px}.m{font-weight:bold;white-space:nowrap}"
)


def page(document: dict[str, Any], source: str) -> bytes:
    """`source`: where the document itself is found."""
    title, base = escape(document["info"]["title"]), document["basePath"].rstrip("/")
    rows = "".join(
        _row(method, base + path, operation)
        for path, operations in sorted(document["paths"].items())
        for method, operation in operations.items()
    )
    head = "<tr><th>Method</th><th>Path</th><th>Query</th><th>Answer</th><th>Login</th></tr>"
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
        f'<body><h1>{title}</h1><p>The same for programs: <a href="{escape(source)}">{escape(source)}</a> (Swagger 2.0).</p>'
        f"<table><thead>{head}</thead><tbody>{rows}</tbody></table></body></html>\n"
    )
    return text.encode()


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    queries = ", ".join(each["name"] for each in operation["parameters"] if each["in"] == "query")
    cells = (path, queries, _model(operation["responses"]["200"].get("schema", {})))
    texts = "".join(f"<td><code>{escape(cell)}</code></td>" for cell in cells)
    login = "yes" if "security" in operation else ""
    return f'<tr><td class="m">{escape(method.upper())}</td>{texts}<td>{login}</td></tr>'


def _model(schema: dict[str, Any]) -> str:
    item: dict[str, Any] = schema.get("items", schema)
    name = str(item.get("$ref", "")).rpartition("/")[2]
    return f"[{name}]" if "items" in schema else name
