"""The page on the command line, made from its own help."""

from collections.abc import Iterator

import click

HEAD = """\
# Commands

Made by `make reference` from what `video-analytics-exporter --help` prints. Exit codes: 0 done, 1 wrong configuration
or a failed command, 2 wrong usage. Errors go to standard error, one a line.

The shell completes commands, flags and the names of queries after
`source <(_VIDEO_ANALYTICS_EXPORTER_COMPLETE=bash_source video-analytics-exporter)` (or `zsh_source`; for fish,
`_VIDEO_ANALYTICS_EXPORTER_COMPLETE=fish_source video-analytics-exporter | source`).
"""


def page(main: click.Group) -> str:
    """Write the page of a command with all its commands."""
    commands = (main.get_command(click.Context(main), name) for name in main.list_commands(click.Context(main)))
    return "\n".join([HEAD, *(line for command in commands if command for line in _command(command))])


def _command(command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"video-analytics-exporter {command.name}")
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## {command.name}\n\n{command.get_short_help_str(limit=1000)}\n"
    yield f"```console\n$ {context.command_path} {usage}\n```\n"
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    rows = [_row(option, context) for option in options if "--help" not in option.opts]
    if rows:
        yield "| flag | default | what for |\n|---|---|---|"
        yield from rows
        yield ""


def _row(option: click.Option, context: click.Context) -> str:
    default = option.get_default(context)
    values = default if isinstance(default, tuple) else (default,)
    shown = ", ".join(f"`{value}`" for value in values) if option.show_default else ""
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    words = " or ".join(f"`{choice}`" for choice in choices)
    return f"| {names} | {shown} | {' '.join(filter(None, (option.help, words)))} |"
