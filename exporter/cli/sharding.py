"""The flags by which several processes share the queries of a configuration."""

import re
import socket
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from exporter.shard import ONLY, Shard, ordinal_of
from exporter.web.peers import one_name, usable

AUTO = "auto"
MOST = 10_000
"""Shards; more would only be a slip of the finger."""

Command = Callable[..., None]


def sharded(command: Command) -> Command:
    """Add the flags that say which shard this is; the command gets a :class:`Shard`."""

    @click.option(
        "--shard",
        "ordinal",
        metavar="N|auto",
        callback=_ordinal,
        help="Which of the shards this process is, from 0; auto: the number at the end of the host's name.",
    )
    @click.option(
        "--total-shards",
        "total",
        type=click.IntRange(1, MOST),
        help="How many processes share the queries; goes with --shard.",
    )
    @wraps(command)
    def with_shard(*, ordinal: str | None, total: int | None, **flags: Any) -> None:  # noqa: ANN401 - the command's
        command(shard=_shard(ordinal, total), **flags)

    return with_shard


def peers(command: Command) -> Command:
    """Add the flag that says where all shards are."""

    @click.option(
        "--shard.peers",
        "peers",
        metavar="NAME|LIST",
        default="",
        callback=_places,
        help="Where all shards are, for /sd: a name that resolves to them, or host:port or URL of each, by ordinal.",
    )
    @wraps(command)
    def with_peers(*, shard: Shard, peers: tuple[str, ...], **flags: Any) -> None:  # noqa: ANN401 - the command's
        if peers and not one_name(peers) and len(peers) != shard.total:
            raise click.UsageError(f"--shard.peers lists {len(peers)} of {shard.total} shards: it must list all")
        command(shard=shard, peers=peers, **flags)

    return with_peers


def _places(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    places = tuple(place.strip() for place in text.split(",")) if text else ()
    for place in places:
        if not usable(place):
            raise click.BadParameter(f"`{place}` must be a host, host:port, or a URL")
    return places


def _ordinal(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    if text is not None and text != AUTO and not re.fullmatch("[0-9]{1,9}", text):
        raise click.BadParameter("must be a number from 0, or auto")
    return text


def _shard(ordinal: str | None, total: int | None) -> Shard:
    """Make a shard of the flags.

    Raises:
        click.UsageError: they don't fit each other.
        click.ClickException: the host's name has no number at its end.
    """
    if ordinal is None and total is None:
        return ONLY
    if ordinal is None or total is None:
        raise click.UsageError("--shard and --total-shards need each other")
    host = socket.gethostname()
    number = ordinal_of(host) if ordinal == AUTO else int(ordinal)
    if number is None:
        raise click.ClickException(
            f"--shard=auto: the host's name `{host}` does not end in `-` and a number; give --shard a number"
        )
    if number >= total:
        raise click.UsageError(f"there is no shard {number} of {total}: --shard is from 0 to {total - 1}")
    return Shard(number, total)
