"""``demo``: simulated vendors in the same process, and the exporter against them with the example's queries."""

import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import click

from exporter import daemon
from exporter.commands import examples
from exporter.config import Config, load
from exporter.simulator.ibm_video import IbmVideo
from exporter.simulator.serve import serve
from exporter.simulator.smartsight import SmartSight
from exporter.simulator.smartsight_oauth import TOKEN_PATH

CREDENTIALS = {
    "SMARTSIGHT_CUSTOMER_ID": "199493832",
    "SMARTSIGHT_API_KEY": "demo-key",
    "SMARTSIGHT_USERNAME": "demo@example.com",
    "SMARTSIGHT_PASSWORD": "demo-password",
    "IBM_CLIENT_ID": "demo-client",
    "IBM_CLIENT_SECRET": "demo-secret",
}


def example() -> str:
    """Give the example configuration."""
    return examples.root().joinpath("config.example.yaml").read_text("utf-8")


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Mapping[str, str]]:
    """Run the simulated vendors, and give the variables that point the example's configuration at them."""
    smartsight = SmartSight(
        api_key=CREDENTIALS["SMARTSIGHT_API_KEY"],
        customer_id=CREDENTIALS["SMARTSIGHT_CUSTOMER_ID"],
        username=CREDENTIALS["SMARTSIGHT_USERNAME"],
        password=CREDENTIALS["SMARTSIGHT_PASSWORD"],
        clock=time.time,
    )
    ibm = IbmVideo(
        client_id=CREDENTIALS["IBM_CLIENT_ID"], client_secret=CREDENTIALS["IBM_CLIENT_SECRET"], clock=time.time
    )
    async with serve(smartsight.app) as smartsight_url, serve(ibm.app) as ibm_url:
        yield {
            **CREDENTIALS,
            "SMARTSIGHT_URL": smartsight_url,
            "SMARTSIGHT_TOKEN_URL": smartsight_url + TOKEN_PATH,
            "IBM_URL": f"{ibm_url}/v1",
            "IBM_TOKEN_URL": f"{ibm_url}/oauth2/token",
        }


@contextlib.asynccontextmanager
async def vendors() -> AsyncIterator[Callable[[], Config]]:
    """Run the simulated vendors, and give what loads the example's configuration pointed at them."""
    async with serving() as env:
        yield lambda: load(example(), name="config.example.yaml", env=env)


async def run(sockets: Sequence[socket.socket], options: daemon.Options) -> None:
    """Run until SIGTERM or SIGINT."""
    async with vendors() as load_example:
        url = daemon.address(sockets[0], tls=options.secure)
        click.echo("Simulated vendors are running, and the exporter polls them:")
        click.echo(f"  {url}{options.metrics_path}\n  {url}/\nStop with Ctrl-C.")
        await daemon.run(load_example, load_example(), sockets, options)
