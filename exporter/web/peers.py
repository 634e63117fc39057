"""Where all shards are: as a list says it, or the addresses of a name, as a headless service gives them."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

PLACE = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?")
URL = re.compile(rf"https?://{PLACE.pattern}(/\S*)?")

PATIENCE = 2.0
"""Seconds that a name server has; Prometheus asks again a minute later."""


class NoPeersError(Exception):
    """The peers' name has never been resolved."""


@dataclass(frozen=True, slots=True)
class Here:
    """This shard among the others: what its peers have too, unless their places say otherwise."""

    ordinal: int = 0
    scheme: str = "http"
    port: int = 0
    external_url: str = ""


def usable(place: str) -> bool:
    """Whether a place is ``host``, ``host:port`` or a URL."""
    return bool(PLACE.fullmatch(place) or URL.fullmatch(place))


def one_name(places: Sequence[str]) -> bool:
    """Whether these are no list of all shards, but one name of them all."""
    return len(places) == 1 and not URL.fullmatch(places[0])


async def addresses(host: str) -> list[str]:
    """Resolve a host beside the event loop: to its IPv4 addresses, else to those of IPv6, for a shard may have both.

    Raises:
        OSError: it can't be resolved.
        UnicodeError: it is no name of a host.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    by_family = {family: [str(at[0]) for kind, _, _, _, at in found if kind == family] for family, *_ in found}
    return sorted(set(by_family.get(socket.AF_INET) or by_family[socket.AF_INET6]))


def is_here(address: str) -> bool:
    """Whether an address is one of this machine's: no other can be bound to."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


class Peers:
    """All shards, this one included. ``places`` are in the order of the ordinals, or one name of all of them."""

    def __init__(
        self,
        places: Sequence[str],
        here: Here,
        resolve: Callable[[str], Awaitable[Sequence[str]]] = addresses,
        local: Callable[[str], bool] = is_here,
    ) -> None:
        self._places = places
        self._here = here
        name = PLACE.fullmatch(places[0]) if one_name(places) else None
        self._name = name["host"].strip("[]") if name else ""
        self._port = (name["port"] if name else "") or ""
        self._resolve = resolve
        self._local = local
        self._known: Sequence[str] = ()
        self._looking: asyncio.Task[None] | None = None
        self._fault = ""

    async def urls(self) -> list[str]:
        """Give where they are; this one is where ``external_url`` says, if it says so.

        Raises:
            NoPeersError: their name has never been resolved.
        """
        own = self._here.external_url
        if not self._name:
            listed = [self._url(place) for place in self._places]
            return [own if own and number == self._here.ordinal else url for number, url in enumerate(listed)]
        await self._look()
        if not self._known:
            raise NoPeersError(f"the shards' name `{self._name}` can't be resolved: {self._fault}")
        others = [address for address in self._known if not (own and self._local(address))]
        urls = [self._url((f"[{address}]" if ":" in address else address) + self._port) for address in others]
        return [own, *urls] if own else urls

    def _url(self, place: str) -> str:
        found = PLACE.fullmatch(place)
        if not found:
            return place
        port = "" if found["port"] or not self._here.port else f":{self._here.port}"
        return f"{self._here.scheme}://{place}{port}"

    async def _look(self) -> None:
        """Resolve the name, one time for all who ask meanwhile; the last good answer stays."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait([self._looking], timeout=PATIENCE)
        if not done:
            self._note(f"no answer within {PATIENCE:g} s")

    async def _ask(self) -> None:
        try:
            self._known = await self._resolve(self._name)
        except OSError as error:
            self._note(error.strerror or "it is not known")
        except UnicodeError:
            self._note("it is no name of a host")
        else:
            self._note("")

    def _note(self, fault: str) -> None:
        """Say once that the name can't be resolved, and once that it can again."""
        if fault and not self._fault:
            log.warning("the shards' name can't be resolved, the last answer stays", name=self._name, error=fault)
        elif self._fault and not fault:
            log.info("the shards' name is resolved again", name=self._name, shards=len(self._known))
        self._fault = fault
