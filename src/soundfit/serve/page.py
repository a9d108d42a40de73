"""Page: the form of a model and the API's documentation, one file each, without network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from soundfit.artifact.picture_predictor import PicturePredictor
from soundfit.artifact.sequence_predictor import SequencePredictor
from soundfit.report.run_view import read_run
from soundfit.report.words import Words
from soundfit.serve.model import ServedModel

__all__ = ["Shown", "docs_page", "main_page", "picture_page", "script_words", "sequence_page", "shown_run"]


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
    for name in ("serve", "common", "pictures", "files"):
        made.globals[f"{name}_script"] = Markup((own / f"{name}.js").read_text(encoding="utf-8"))
    return made


def script_words(words: Words) -> dict[str, str]:
    """Return the texts of the pages' scripts, English to the reader's language."""
    return dict(zip(_script_texts(Words()), _script_texts(words), strict=True))


def _script_texts(_: Words) -> tuple[str, ...]:
    return (
        _("{low} to {high} holds the true value in {level} of 100 cases like the training rows."),
        _("probability of {class}"),
        _("prediction"),
        _("Why"),
        _("This is the typical row, with which others are compared; change a value to see what it does."),
        _(
            "From {typical} for a row of typical values to {value}: how far each column moves the {word} "
            "(sampled Shapley values). This says what the model does, not what causes what."
        ),
        _(" pt"),
        _("Choose a file first."),
        _("Predicting …"),
        _("Predicting {i} of {n} …"),
        _("{n} predicted, the newest first."),
        _("Download predictions.csv"),
        _("The first predictions"),
        _("The server answered {status}."),
        _("The server does not answer; is soundfit serve still running?"),
    )


@dataclass(frozen=True)
class Shown:
    """What every page tells of its run: where it is, its verdict, and in which language."""

    folder: Path
    verdict: str
    words: Words

    def page(self, template: str, **more: Any) -> str:
        """Return a page."""
        return (
            _environment()
            .get_template(template)
            .render(
                run=self.folder.name,
                verdict=self.verdict,
                has_report=(self.folder / "report.html").is_file(),
                words=script_words(self.words),
                _=self.words,
                **more,
            )
        )


def shown_run(folder: Path, lang: str) -> Shown:
    """Return what pages tell of a run."""
    _ = Words(lang)
    verdict = read_run(folder).retold(_).get("verdict", "text", default="")
    return Shown(folder, verdict if isinstance(verdict, str) else "", _)


def main_page(model: ServedModel, run: Shown) -> str:
    """Return the page with the form."""
    interval = model.predictor.interval
    return run.page(
        "serve.html.j2",
        target=model.predictor.target,
        task=model.predictor.task,
        columns=model.columns,
        level=interval.level if interval is not None else None,
    )


def picture_page(predictor: PicturePredictor, run: Shown) -> str:
    """Return the page with the drop zone."""
    return run.page("pictures.html.j2", target=predictor.target)


def sequence_page(predictor: SequencePredictor, run: Shown) -> str:
    """Return the page that takes files of sequences."""
    _, layout = run.words, predictor.layout
    reads = {
        "arrays": _(
            "An npz file with X (sequences, steps, channels), and lengths where sequences differ in length."
        ),
        "columns": _("A table with one sequence a row, its steps as a list such as [1, 2, 3] in a cell."),
        "long": _("A table with one step a row; {sequence} says whose step it is, {time} when.").format(
            sequence=layout.sequence[0] if layout.sequence else "", time=layout.time
        ),
    }[layout.form]
    return run.page("sequences.html.j2", target=predictor.target, channels=layout.channels, reads=reads)


def docs_page(schema: dict[str, Any], words: Words) -> str:
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
    return (
        _environment()
        .get_template("docs.html.j2")
        .render(title=schema["info"]["title"], routes=routes, _=words)
    )
