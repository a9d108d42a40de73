"""The command line. Imports nothing heavy: each command loads what it needs when it runs."""

from __future__ import annotations

import os
import shlex
import sys
import time as time_module
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from soundfit.cli import options as opt
from soundfit.cli.doctor import CONTEXT, doctor_command
from soundfit.cli.export import export_command
from soundfit.cli.interrupt import EXIT_INTERRUPTED, asking_to_stop
from soundfit.cli.lesson import lesson_command
from soundfit.cli.serve import serve_command
from soundfit.cli.study import study_command
from soundfit.errors import SoundfitError

__all__ = ["app", "run"]

app = typer.Typer(
    name="soundfit",
    help="Train models on tables, pictures and sequences and get it right: honest splits, the right "
    "capacity, sound numerics.\n\n"
    "Start with:  soundfit train houses.csv --target price",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

# What Typer makes of a KeyboardInterrupt.
_TYPERS_INTERRUPT = 130
_STARTED = time_module.perf_counter()


def _version(asked: bool) -> None:
    if asked:
        from soundfit import __version__

        typer.echo(f"soundfit {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    # Eager: answered before a command is asked for.
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
    lang: Annotated[
        Literal["en", "zh"] | None,
        typer.Option(
            help="Language of help, messages and reports; also behind the command.", show_default=False
        ),
    ] = None,
) -> None:
    """Options of every command."""
    if lang is not None:
        # Where each command's own --lang looks.
        os.environ["SOUNDFIT_LANG"] = lang


@app.command()
def train(
    data: opt.Data,
    target: opt.Target = "",
    out: Annotated[
        Path | None, typer.Option(help="Run folder to write (new or empty).", show_default="runs/NAME")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="auto, linear, mlp, resmlp; pictures: cnn, resnet; sequences: lstm, gru, rnn. "
            "auto lets validation choose."
        ),
    ] = "auto",
    keep_sealed: Annotated[
        bool, typer.Option("--keep-sealed", help="Leave the test rows sealed; open them later with exam.")
    ] = False,
    nested: Annotated[
        bool,
        typer.Option(
            "--nested",
            help="Also score the whole procedure, selection included (as many times the work as folds).",
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the training that --out holds unfinished, to the same result."
        ),
    ] = False,
    executor: Annotated[
        str, typer.Option(help="local (the cores of this machine) or ray (a Ray cluster; soundfit\\[ray]).")
    ] = "local",
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory to use, such as 8GiB: larger tables are read in batches.",
            show_default="most of what is free",
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="A running Ray cluster: auto, or HOST:PORT.", show_default="one is started on this machine"
        ),
    ] = None,
    log_to: Annotated[
        str | None,
        typer.Option(
            help="tensorboard or mlflow: log losses, parameters and scores into the run folder "
            "(or to MLFLOW_TRACKING_URI).",
            show_default=False,
        ),
    ] = None,
    log_lines: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Append what happens to FILE, a line of JSON each: stages, progress, result "
            "(- for the error stream).",
            show_default=False,
        ),
    ] = None,
    task: opt.TaskName = "auto",
    drop: opt.Drop = [],  # noqa: B006  (typer reads the default)
    accept: opt.Accept = [],  # noqa: B006
    folds: opt.Folds = "auto",
    test: opt.Test = "0.2",
    group: opt.Group = [],  # noqa: B006
    time: opt.Time = None,
    gap: opt.Gap = "0",
    fold_column: opt.FoldColumn = None,
    stratify: opt.Stratify = None,
    seed: opt.Seed = 0,
    device: opt.Device = "auto",
    budget: opt.Budget = None,
    image_size: opt.ImageSize = None,
    backbone: opt.Backbone = "auto",
    weights: opt.Weights = None,
    sequence: opt.Sequence = "",
    lang: opt.Lang = "en",
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """Train on a table, pictures or sequences: audit, seal, cross-validate, choose, examine, report.

    Example:  soundfit train examples/ames.csv --target Sale_Price --out run/
    """
    from soundfit.records.said import retell
    from soundfit.report.progress import training_progress
    from soundfit.report.terminal import print_summary
    from soundfit.report.words import Words
    from soundfit.workflow.folder import (
        default_folder,
        read_run,
        through_since,
        unfinished_folder,
        write_json_line,
    )
    from soundfit.workflow.journal import log_lines as writing_lines
    from soundfit.workflow.options import Options, parse_budget, parse_memory
    from soundfit.workflow.resume import go_on_command
    from soundfit.workflow.train import train_data
    from soundfit.workflow.watcher import Watcher

    _ = Words(lang)
    command = shlex.join(["soundfit", *sys.argv[1:]])
    if out is None:
        out = (unfinished_folder(data) if resume else None) or default_folder(data)
    go_on = go_on_command(command, out)
    since = through_since(out, command) if resume else ""
    if since:
        done = _("The training in {out} is through ({since}): nothing is left to do.")
        _say(done.format(out=out, since=since))
        if json:
            write_json_line(read_run(out))
        return
    options = Options(
        target,
        task=task,
        folds=folds,
        test=test,
        group=tuple(group),
        time=time,
        gap=gap,
        fold_column=fold_column,
        stratify=stratify,
        drop=tuple(drop),
        accept=tuple(accept),
        seed=seed,
        device=device,
        budget=parse_budget(budget),
        model=model,
        keep_sealed=keep_sealed,
        out=out,
        nested=nested,
        lang=lang,
        resume=resume,
        image_size=image_size,
        backbone=backbone,
        weights=weights,
        sequence=sequence,
        executor=executor,
        ray_address=ray_address,
        memory=parse_memory(memory),
        log_to=log_to,
        command=command,
    )
    # Of several processes that torchrun started, the first speaks.
    quiet = quiet or os.environ.get("RANK", "0") != "0"
    json = json and os.environ.get("RANK", "0") == "0"
    console = _console()
    silent = quiet or json
    with (
        writing_lines(log_lines),
        training_progress(console, quiet=silent, lang=lang) as progress,
        asking_to_stop(
            lambda: progress.stage("stopping after this epoch, keeping what is done"),
            last_words=lambda: _(
                "Stopped at once: what was saved last is kept. Go on with:  {command}"
            ).format(command=go_on),
            patient=False,
        ) as asked,
    ):
        run = train_data(
            data,
            options,
            watcher=Watcher(progress.stage, progress.total, progress.advance, asked, asked.wait),
            started=_STARTED,
        )
    if json:
        write_json_line(run.document)
    elif not quiet:
        print_summary(run.document, console, path=run.path, lang=lang)
        for remark in run.remarks:
            console.print(retell(remark, {}, _))
    if run.interrupted:
        if run.exam is None:
            kept = _(
                "Interrupted: what was done is kept; its test rows stay sealed. The run so far is in {path}."
            )
        else:
            kept = _("Interrupted: what was done is kept. The run so far is in {path}.")
        _say(kept.format(path=run.path))
        _say(_("Go on with:  {command}").format(command=go_on))
        raise typer.Exit(EXIT_INTERRUPTED)


@app.command()
def predict(
    run: opt.Run,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Table file with the model's columns; or a picture, or a folder of them.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write: .csv, .parquet or .json.", show_default="screen"),
    ] = None,
    lang: opt.Lang = "en",
) -> None:
    """Predict the rows of a table, or pictures, with a trained run.

    Example:  soundfit predict run/ new.csv -o predictions.csv
    """
    from soundfit.workflow.predict import predict_file

    text = predict_file(run, data, output)
    if text:
        typer.echo(text, nl=False)


@app.command()
def exam(
    run: opt.Run,
    lang: opt.Lang = "en",
    json: opt.Json = False,
) -> None:
    """Open the sealed test rows of a run and score its model on them (counted in the ledger).

    Example:  soundfit exam run/
    """
    from soundfit.records.said import retell
    from soundfit.report.terminal import print_summary
    from soundfit.report.words import Words
    from soundfit.workflow.exam import exam_run
    from soundfit.workflow.folder import write_json_line

    document, remarks = exam_run(run, lang=lang)
    if json:
        write_json_line(document["exam"])
        return
    console = _console()
    print_summary(document, console, path=run, lang=lang)
    for remark in remarks:
        console.print(retell(remark, {}, Words(lang)))


@app.command()
def audit(
    data: opt.Data,
    target: opt.Target = "",
    task: opt.TaskName = "auto",
    sequence: opt.Sequence = "",
    drop: opt.Drop = [],  # noqa: B006
    folds: opt.Folds = "auto",
    test: opt.Test = "0.2",
    group: opt.Group = [],  # noqa: B006
    time: opt.Time = None,
    gap: opt.Gap = "0",
    fold_column: opt.FoldColumn = None,
    stratify: opt.Stratify = None,
    seed: opt.Seed = 0,
    lang: opt.Lang = "en",
    quiet: opt.Quiet = False,
    json: opt.Json = False,
) -> None:
    """Check data and their split for leaks, duplicates and other traps, without training.

    Example:  soundfit audit examples/ames.csv --target Sale_Price

    Exit code 1 where a finding is an error.
    """
    from soundfit.report.terminal import print_findings
    from soundfit.workflow.folder import write_json_line
    from soundfit.workflow.kind import audited
    from soundfit.workflow.options import Options
    from soundfit.workflow.record import audit_record, data_record, split_record

    options = Options(
        target,
        task=task,
        folds=folds,
        test=test,
        group=tuple(group),
        time=time,
        gap=gap,
        fold_column=fold_column,
        stratify=stratify,
        drop=tuple(drop),
        seed=seed,
        sequence=sequence,
    )
    prepared = audited(data, options)
    if json:
        write_json_line(
            {
                **audit_record(prepared.findings),
                "data": data_record(prepared.table),
                "split": split_record(prepared.plan),
            }
        )
    elif not quiet:
        print_findings(prepared.findings, _console(), lang=lang)
    if any(f.severity == "error" for f in prepared.findings):
        raise typer.Exit(1)


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folder, or several.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Page to write where several runs are compared.")
    ] = Path("compare.html"),
    lang: opt.Lang = "en",
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write a run's report.html anew, or compare several runs side by side.

    Example:  soundfit report run/ --lang zh --open
    """
    from soundfit.report.compare import write_comparison
    from soundfit.report.html import write_report
    from soundfit.report.words import Words
    from soundfit.workflow.folder import read_run

    for run in runs:
        read_run(run)
    path = write_report(runs[0], lang=lang) if len(runs) == 1 else write_comparison(runs, output, lang=lang)
    _ = Words(lang)
    typer.echo(_("wrote {path}").format(path=path))
    if open_:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())


app.command(name="study")(study_command)
app.command(name="export")(export_command)
app.command(name="serve")(serve_command)
app.command(name="lesson")(lesson_command)
app.command(name="doctor", context_settings=CONTEXT)(doctor_command)


def _console() -> Any:
    from rich.console import Console

    return Console()


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _lang() -> str:
    """Return the language that the command line or the environment asks for, before they are parsed."""
    words = sys.argv[1:]
    named = [word.removeprefix("--lang=") for word in words if word.startswith("--lang=")]
    named += [after for word, after in pairwise(words) if word == "--lang"]
    asked = named[-1] if named else os.environ.get("SOUNDFIT_LANG", "en")
    return asked if asked in ("en", "zh") else "en"


def _words() -> Any:
    from soundfit.report.words import Words

    return Words(_lang())


def _interrupted() -> NoReturn:
    _ = _words()
    _say(_("Interrupted before training began: nothing was written."))
    sys.exit(EXIT_INTERRUPTED)


def run() -> None:
    """Run the command line: errors become one paragraph and an exit code; a traceback only with --debug."""
    # Before torch starts: OpenMP threads that wait by spinning starve each other on small machines.
    os.environ.setdefault("KMP_BLOCKTIME", "0")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in sys.argv
    try:
        command = typer.main.get_command(app)
        if _lang() != "en":
            from soundfit.cli.language import break_anywhere, retell_help

            break_anywhere()
            retell_help(command, _words())
        code = command(standalone_mode=False)
        if code == _TYPERS_INTERRUPT:
            _interrupted()
        sys.exit(code if isinstance(code, int) else 0)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except typer.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        _interrupted()
    except BrokenPipeError:
        # The reader of our output left (| head): no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except SoundfitError as error:
        if debug:
            raise
        from soundfit.report.error_words import error_paragraph

        findings = getattr(error, "findings", ())
        if findings:
            from rich.console import Console

            from soundfit.report.terminal import print_findings

            print_findings(findings, Console(stderr=True), lang=_lang())
            # What was received are the findings themselves.
            error.received = ""
        _ = _words()
        _say(_("error: {what}").format(what=error_paragraph(error, _)))
        sys.exit(error.exit_code)
    except MemoryError:
        if debug:
            raise
        _ = _words()
        _say(_("error: The work needs more memory than this machine gives. Fix: use fewer rows or columns."))
        sys.exit(1)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # Typer's and Click's own usage errors
            if _lang() != "en" and hasattr(error, "ctx"):
                from soundfit.cli.language import usage_error

                _say(usage_error(error, _words()))
            else:
                error.show()
            sys.exit(error.exit_code)
        if debug:
            raise
        _ = _words()
        unexpected = _(
            "error: soundfit met something it did not expect: {kind}: {error}. "
            "Fix: this is a bug; run the command with 'soundfit --debug …' and report what it prints."
        )
        _say(unexpected.format(kind=type(error).__name__, error=error))
        sys.exit(1)


if __name__ == "__main__":
    run()
