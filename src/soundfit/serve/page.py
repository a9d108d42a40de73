"""Page: the form of a model and the API's documentation, one file each, without network."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from soundfit.artifact.picture_predictor import PicturePredictor
from soundfit.serve.model import ServedModel

__all__ = ["docs_page", "main_page", "picture_page"]


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("soundfit.serve", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The same look as the report.
    style = (files("soundfit.report") / "templates" / "page.css").read_text(encoding="utf-8")
    own = files("soundfit.serve") / "templates"
    made.globals["style"] = Markup(style + (own / "serve.css").read_text(encoding="utf-8"))
    for name in ("serve", "common", "pictures"):
        made.globals[f"{name}_script"] = Markup((own / f"{name}.js").read_text(encoding="utf-8"))
    return made


def main_page(model: ServedModel, folder: Path, document: dict[str, Any]) -> str:
    """Return the page with the form."""
    return (
        _environment()
        .get_template("serve.html.j2")
        .render(
            target=model.predictor.target,
            task=model.predictor.task,
            columns=model.columns,
            run=folder.name,
            verdict=_verdict(document),
            has_report=(folder / "report.html").is_file(),
            level=model.predictor.interval.level if model.predictor.interval is not None else None,
        )
    )


def picture_page(predictor: PicturePredictor, folder: Path, document: dict[str, Any]) -> str:
    """Return the page with the drop zone."""
    return (
        _environment()
        .get_template("pictures.html.j2")
        .render(
            target=predictor.target,
            run=folder.name,
            verdict=_verdict(document),
            has_report=(folder / "report.html").is_file(),
        )
    )


def _verdict(document: dict[str, Any]) -> str:
    verdict = document.get("verdict")
    text = verdict.get("text", "") if isinstance(verdict, dict) else ""
    return text if isinstance(text, str) else ""


def docs_page(schema: dict[str, Any]) -> str:
    """Return the OpenAPI description as a page."""
    routes = [
        {"method": method.upper(), "path": path, **told}
        for path, methods in schema["paths"].items()
        for method, told in methods.items()
    ]
    for route in routes:
        body = route.get("requestBody", {}).get("content", {})
        example = body.get("application/json", {}).get("schema", {}).get("example")
        route["example"] = "" if example is None else json.dumps(example, indent=1, ensure_ascii=False)
        properties = body.get("application/json", {}).get("schema", {}).get("properties", {})
        route["columns"] = [(name, p["description"]) for name, p in properties.items()]
    return _environment().get_template("docs.html.j2").render(title=schema["info"]["title"], routes=routes)
