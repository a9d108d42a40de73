"""Help and usage errors in the reader's language: texts are looked up once, on the finished tree of commands.

Docstrings and ``help=`` stay plain English where they are written. Knows Typer; knows no command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["break_anywhere", "help_texts", "retell_help", "usage_error"]

Translate = Callable[[str], str]


def N_(text: str) -> str:
    """Return the text; marks what Typer writes for the extraction of messages."""
    return text


# Typer's titles are constants of its module for Rich.
_TITLES = {
    "ARGUMENTS_PANEL_TITLE": N_("Arguments"),
    "OPTIONS_PANEL_TITLE": N_("Options"),
    "COMMANDS_PANEL_TITLE": N_("Commands"),
    "DEFAULT_STRING": N_("[default: {}]"),
    "ENVVAR_STRING": N_("[env var: {}]"),
    "REQUIRED_LONG_STRING": N_("[required]"),
}
_HELP = N_("Show this message and exit.")
# Usage errors come as finished sentences: each is recognised, and what it names is put into its translation.
_ERRORS = (
    N_("No such option: {name} (Possible options: {list})"),
    N_("No such option: {name} Did you mean {list}?"),
    N_("No such option: {name}"),
    N_("No such command {name}. Did you mean {list}?"),
    N_("No such command {name}."),
    N_("Missing argument {name}."),
    N_("Missing option {name}."),
    N_("Missing command."),
    N_("Option {name} requires an argument."),
    N_("Got unexpected extra argument(s) ({words})"),
    N_("Got unexpected extra argument ({words})"),
    N_("Got unexpected extra arguments ({words})"),
    N_("Invalid value for {name}: Value error, {reason}"),
    N_("Invalid value for {name}: {reason}"),
    N_("{value} is not one of {list}."),
    N_("{value} is not a valid integer."),
    N_("{value} is not a valid float."),
    N_("Input should be a valid integer, unable to parse string as an integer"),
    N_("Input should be a valid number, unable to parse string as a number"),
    N_("Input should be greater than or equal to {limit}"),
    N_("Input should be less than or equal to {limit}"),
)


_OPEN, _CLOSE, _CHINESE = "（《“‘", "，。：；、？！）》”’…", "\u3400-\u9fff"
# A Chinese character, or what stands between spaces, with the marks that must stay beside it.
_UNBROKEN = re.compile(
    rf"\s*(?:[{_OPEN}]*(?:[{_CHINESE}]|[^\s{_CHINESE}{_OPEN}{_CLOSE}]+)[{_CLOSE}]*|[{_OPEN}{_CLOSE}]+)\s*"
)


def break_anywhere() -> None:
    """Let Rich break lines between Chinese characters: it knows spaces alone, and cuts what has none."""
    from rich import _wrap
    from rich.text import Text

    def rstrip_end(text: Text, size: int) -> None:
        # Rich counts characters here, not the two cells that each Chinese one fills.
        if text.cell_len > size:
            text.rstrip()

    if hasattr(_wrap, "re_word"):
        _wrap.re_word = _UNBROKEN
        Text.rstrip_end = rstrip_end  # type: ignore[method-assign, assignment]


def help_texts(command: Any) -> Iterator[str]:
    """Yield each paragraph of help that a tree of commands shows."""
    for owner, name in _slots(command):
        yield from _paragraphs(getattr(owner, name))


def retell_help(command: Any, _: Translate) -> None:
    """Change a tree of commands so that it shows its help in another language.

    Args:
        command: as ``typer.main.get_command`` returns it, not shared with anyone.
        _: translates a paragraph.
    """
    for owner, name in _slots(command):
        setattr(owner, name, "\n\n".join(_(one) for one in _paragraphs(getattr(owner, name))))
    for one in (command, *getattr(command, "commands", {}).values()):
        _retell_frame(one, _)


def _slots(command: Any) -> Iterator[tuple[Any, str]]:
    """Yield (owner, attribute) of every text of a tree of commands."""
    names = ("help", "short_help", "epilog", "rich_help_panel", "options_metavar", "subcommand_metavar")
    owners: list[tuple[Any, tuple[str, ...]]] = [(command, names)]
    owners += [(param, ("help", "rich_help_panel", "show_default")) for param in command.params]
    for owner, kept in owners:
        for name in kept:
            text = getattr(owner, name, None)
            if isinstance(text, str) and text:
                yield owner, name
    for below in getattr(command, "commands", {}).values():
        yield from _slots(below)


def _paragraphs(text: str) -> list[str]:
    return [re.sub(r"\s*\n\s*", " ", one).strip() for one in text.split("\n\n")]


def _retell_frame(command: Any, _: Translate) -> None:
    """Have one command show what Typer itself adds to a help: usage, titles, the help option."""
    usage, option, show = command.get_usage, command.get_help_option, command.format_help

    def get_usage(context: Any) -> str:
        return str(usage(context)).replace("Usage: ", _("Usage: "), 1)

    def get_help_option(context: Any) -> Any:
        found = option(context)
        if found is not None:
            found.help = _(_HELP)
        return found

    def format_help(context: Any, formatter: Any) -> None:
        from typer import rich_utils

        for name, title in _TITLES.items():
            setattr(rich_utils, name, _(title))
        show(context, formatter)

    command.get_usage, command.get_help_option, command.format_help = get_usage, get_help_option, format_help


def usage_error(error: Any, _: Translate) -> str:
    """Return a usage error of Typer's in another language: usage, the way to the help, what is wrong."""
    lines = []
    context = getattr(error, "ctx", None)
    if context is not None:
        path, option = context.command_path, context.help_option_names[0]
        lines = [
            context.get_usage(),
            _("Try '{command}' for help.").format(command=f"{path} {option}"),
            "",
        ]
    return "\n".join([*lines, _("error: {what}").format(what=_recognised(error.format_message(), _))])


def _recognised(text: str, _: Translate) -> str:
    for template in _ERRORS:
        fields = re.split(r"\{(\w+)\}", template)
        pattern = "".join(f"(?P<{part}>.+?)" if i % 2 else re.escape(part) for i, part in enumerate(fields))
        found = re.fullmatch(pattern, text, flags=re.DOTALL)
        if found:
            values = {name: _recognised(value, _) for name, value in found.groupdict().items()}
            return _(template).format(**values)
    return text
