"""What commands are: help that teaches by example, words for a mistyped line, and for an interruption."""

from __future__ import annotations

import inspect
import re
import shlex
from difflib import get_close_matches
from typing import Any

from typer.core import TyperCommand, TyperGroup

from runner import config
from runner.cli.printing import output
from runner.errors import LockstepError


class Interrupted(LockstepError):
    """Ctrl-C or SIGTERM outside of measuring, where there is nothing to report."""

    exit_code = 130


ORDER = (
    "doctor", "build", "source-repo", "verify", "ab", "continuous", "bisect", "backfill", "resume", "show", "explain",
    "combine", "runs", "export", "import", "compare", "publish", "reindex", "gc", "nightly", "config", "events",
    "triage", "status", "comment", "upload", "serve", "agent", "token", "create", "list", "revoke", "backup", "restore",
    "calibrate",
)
"""The commands in the order in which a newcomer meets them."""


_RANGE = re.compile(r"  \[[^\]]*\bx[<>]=?[^\]]*\]")
"""Bounds as the library writes them: our sentences say what is allowed."""


class _Taught:
    """Help as plain text that ends with examples; a mixin of commands."""

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.callback = _show_help  # the library's own writes past our streams
        return option

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        arguments = {param.get_usage_pieces(ctx)[0]: _argument(param) for param in _arguments(self, ctx)}
        return [arguments.get(piece, piece) for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        if arguments := _arguments(self, ctx):
            with formatter.section("Arguments"):
                formatter.write_dl([(_argument(param), param.help or "") for param in arguments])
        with formatter.section("Options"):
            formatter.write_dl([
                (names, _RANGE.sub("", told))
                for param in self.get_params(ctx) if param.param_type_name == "option"  # type: ignore[attr-defined]
                for names, told in [param.get_help_record(ctx)]
            ])
        if isinstance(self, Commands):
            self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        if examples := getattr(self, "epilog", None):
            with formatter.section("Examples"):
                for line in inspect.cleandoc(examples).splitlines():
                    formatter.write(f"  {line}\n")


def _arguments(self: Any, ctx: Any) -> list[Any]:
    return [param for param in self.get_params(ctx) if param.param_type_name == "argument"]


def _argument(param: Any) -> str:
    """``BASE``, ``[HEAD]``; a metavar that says more is taken as it is."""
    name = str(param.metavar)
    return name if param.required or not name.isalpha() else f"[{name}]"


def _show_help(ctx: Any, _: Any, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        output.text.write(ctx.get_help() + "\n")
        ctx.exit()


class Command(_Taught, TyperCommand):
    """One command. What it starts keeps to the CPUs that it is given (`app.Cpus`), as it does itself."""

    def invoke(self, ctx: Any) -> Any:
        if (cpus := ctx.params.get("cpus")) is not None:
            config.keep_to(cpus)
        return super().invoke(ctx)


class Commands(_Taught, TyperGroup):
    """The commands. An interruption gets words here, because typer makes a bare exit code of it."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([
                (name, inspect.cleandoc(self.commands[name].help or "").partition("\n\n")[0].replace("\n", " "))
                for name in self.list_commands(ctx)
            ])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = next((word for word in args[1:] if word in self.commands), None)
        if args[0] not in self.commands and not args[0].startswith("-"):
            if known is not None:
                rest = [word for word in args if word != known]
                line = f"{ctx.command_path} {shlex.join([known, *rest])}"
                ctx.fail(f"No such command {args[0]!r}. The command comes first: {line}")
            if "ab" in self.commands and not get_close_matches(args[0], self.commands) and _is_interpreter(args[0]):
                ctx.fail(f"No such command {args[0]!r}. To compare two interpreters: lockstep ab {shlex.join(args)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted; a run that had begun is stored (`lockstep runs` lists it).") from error
        except BrokenPipeError as error:
            # Of a process of ours, since the streams are silent. The library would exit with 1, which is a verdict.
            raise RuntimeError(f"a pipe to another process broke: {error}") from error


def _is_interpreter(word: str) -> bool:
    return "python" in word or "@" in word or word.startswith(("git:", "dir:", "tar:", "/", "./", "../", "~"))
