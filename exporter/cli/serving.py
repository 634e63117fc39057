"""The flags of a running exporter, and its start."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import uvloop

from exporter import daemon, logs
from exporter.cli.flags import Command, fail, url
from exporter.cli.sharding import peers, sharded
from exporter.config import ConfigError
from exporter.web.access import access
from exporter.web.app import PAGES
from exporter.web.listen import AddressError, bind, host_and_port, raise_file_limit
from exporter.web.systemd import Notifier, inherited


def _free_path(_: click.Context, __: click.Parameter, path: str) -> str:
    if not path.startswith("/") or path in PAGES:
        raise click.BadParameter(f"must begin with / and be none of {', '.join(PAGES)}")
    return path


def _addresses(_: click.Context, __: click.Parameter, addresses: Sequence[str]) -> Sequence[str]:
    try:
        for address in addresses:
            host_and_port(address)
    except AddressError as error:
        raise click.BadParameter(str(error)) from None
    return addresses


def flags(command: Command) -> Command:
    """Add the flags of a running exporter."""
    for flag in (
        click.option(
            "--storage.path",
            "storage",
            type=click.Path(path_type=Path, file_okay=False),
            help="Directory for the last snapshots, which a restart then serves at once.",
        ),
        click.option(
            "--web.enable-lifecycle", "lifecycle", is_flag=True, help="Let POST /-/reload reload the configuration."
        ),
        click.option(
            "--web.external-url",
            "external_url",
            default="",
            callback=url,
            help="Where others reach this exporter, for /sd; without it the address that they ask at.",
        ),
        click.option(
            "--web.config.file",
            "web_config",
            type=click.Path(path_type=Path),
            help="TLS, basic auth and headers, in the format of Prometheus' exporters.",
        ),
        click.option(
            "--log.format",
            "log_format",
            default="logfmt",
            show_default=True,
            type=click.Choice(logs.FORMATS),
            help="How lines of the log are written.",
        ),
        click.option(
            "--log.level",
            "log_level",
            default="info",
            show_default=True,
            type=click.Choice(logs.LEVELS),
            help="The least that is logged.",
        ),
        click.option(
            "--web.telemetry-path",
            "metrics_path",
            default="/metrics",
            show_default=True,
            callback=_free_path,
            help="Where the metrics are.",
        ),
        click.option(
            "--web.listen-address",
            "addresses",
            default=(":10310",),
            show_default=True,
            multiple=True,
            callback=_addresses,
            help="Address to listen on; may be given several times.",
        ),
    ):
        command = flag(command)
    return sharded(peers(command))


def start(
    main_: Callable[..., Any],
    *,
    addresses: Sequence[str],
    log_level: str,
    log_format: Any,  # noqa: ANN401
    web_config: Path | None,
    **options: Any,  # noqa: ANN401 - the fields of daemon.Options
) -> None:
    """Run a daemon on its addresses until it is stopped."""
    logs.configure(log_level, log_format)
    raise_file_limit()
    # Whoever sees the port open may signal; the daemon's own handler comes with its loop.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with contextlib.ExitStack() as stack:
        try:
            guard = access(web_config, clock=time.monotonic) if web_config else None
            # Sockets that systemd has opened stand in the place of addresses.
            sockets = [stack.enter_context(bound) for bound in inherited(os.environ)]
            sockets = sockets or [stack.enter_context(bind(address)) for address in addresses]
        except AddressError as error:
            fail(str(error))
        except ConfigError as error:
            fail(*error.lines)
        notifier = stack.enter_context(contextlib.closing(Notifier(os.environ)))
        # Of an image; a wheel has its version.
        revision = os.environ.get("VIDEO_ANALYTICS_EXPORTER_REVISION") or "unknown"
        uvloop.run(main_(sockets, daemon.Options(**options, access=guard, notifier=notifier, revision=revision)))
