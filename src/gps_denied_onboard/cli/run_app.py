"""Run a program's commands; a mistake in how one was called is told as every other mistake of the user's."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from gps_denied_onboard.errors import UserError


def run_app(app: typer.Typer, program: str, arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments (sys.argv's without) name, and end the process with its exit code.

    UserError: the command was called wrongly, or a question was not answered. A program without any argument shows
    its help and ends with 2.
    """
    try:
        code = app(args=arguments, prog_name=program, standalone_mode=False)
    except typer.Abort:
        raise UserError("the question was not answered, so nothing was done.") from None
    except typer.TyperException as error:
        context, message = getattr(error, "ctx", None), error.format_message()
        if context is not None and message == context.get_help():  # no argument at all
            print(message, file=sys.stderr)
            sys.exit(2)
        where = "" if context is None else f" See `{context.command_path} --help`."
        raise UserError(f"{message.rstrip('.')}.{where}") from None
    sys.exit(code if isinstance(code, int) else 0)
