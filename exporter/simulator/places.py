"""Where and on what the made-up platform is watched: data, and the combinations of it."""

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

# Share of the traffic. The unnamed CDN is what players report before they know: rare, and an empty label.
CDNS = {"Akamai": 0.40, "CloudFront": 0.30, "Fastly": 0.20, "Cloudflare": 0.0995, "": 0.0005}
SUSPECTS = tuple(CDNS)[:-1]


class Country(NamedTuple):
    """Share of the traffic, hours ahead of UTC, how much slower than the best, and the one city it has."""

    share: float
    offset: float
    slowness: float
    region: str
    city: str


COUNTRIES = {
    "US": Country(0.36, -5, 1.0, "California", "San Jose"),
    "Canada": Country(0.10, -5, 1.0, "Ontario", "Toronto"),
    "GB": Country(0.13, 0, 1.0, "England", "London"),
    "Germany": Country(0.11, 1, 1.1, "Bavaria", "Munich"),
    "France": Country(0.08, 1, 1.1, "Occitanie", "Toulouse"),
    "Brazil": Country(0.08, -3, 1.6, "Bahia", "Salvador"),
    "India": Country(0.10, 5.5, 1.8, "Karnataka", "Bengaluru"),
    "Japan": Country(0.04, 9, 1.0, "Kansai", "Osaka"),
}


class Device(NamedTuple):
    """Share of the traffic, seconds to start up, bits a second, then the dimensions it decides."""

    share: float
    startup: float
    bitrate: float
    platform: str
    player: str
    os: str
    browser: str
    brand: str
    model: str
    sourcetype: str


DEVICES = {
    "Phone": Device(0.28, 1.2, 3e6, "Android", "ExoPlayer", "Android 14", "App", "Google", "Pixel 8", "DASH"),
    "iPhone": Device(0.22, 1.0, 3e6, "iOS", "AVPlayer", "iOS 17", "App", "Apple", "iPhone 15", "HLS"),
    "Desktop": Device(0.26, 1.6, 5e6, "Web", "Shaka", "Windows 11", "Chrome", "Dell", "XPS 13", "DASH"),
    "TV": Device(0.16, 2.4, 8e6, "Tizen", "AVPlay", "Tizen 7", "App", "Samsung", "QN90C", "HLS"),
    "Stick": Device(0.08, 2.0, 8e6, "Roku", "Roku Player", "Roku OS 12", "App", "Roku", "3941X", "MP4"),
}
ASSETS = (
    "Evening News",
    "Cup Final",
    "Harbour Lights",
    "Deep Field",
    "The Long Shift",
    "Kitchen Duel",
    "Orbit",
)
TAGS = ("premium", "basic", "trial")


def _place(number: int, cdn: str, country: str, device: str) -> dict[str, str]:
    where, what = COUNTRIES[country], DEVICES[device]
    return {
        "cdn": cdn,
        "country": country,
        "region": where.region,
        "city": where.city,
        "device": device,
        **dict(zip(Device._fields[3:], what[3:], strict=True)),
        "assetname": ASSETS[number % len(ASSETS)],
        "subscribertag": TAGS[number % len(TAGS)],
        # One person speaks for all of a place: enough to be refused as a label by whoever guards them.
        "subscriberid": f"subscriber-{number:03}",
        "deviceid": f"device-{number:03}",
        "sessionid": f"session-{number:03}",
        "ipaddress": f"203.0.113.{number}",
    }


KEYS = tuple(product(CDNS, COUNTRIES, DEVICES))
PLACES: tuple[Mapping[str, str], ...] = tuple(_place(number, *key) for number, key in enumerate(KEYS))
DIMENSIONS = frozenset(PLACES[0])
