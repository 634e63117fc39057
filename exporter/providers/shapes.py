"""What stands in the file, value by value: the types that every model of its shape is made of."""

import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr


class WrittenInt(int):
    """An integer of the file, and how it is written there: as a text, ``+49`` stays what it is."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Read it."""
        number = super().__new__(cls, text)
        number.text = text
        return number


class WrittenFloat(float):
    """A float of the file, and how it is written there: as a text, ``1.10`` stays what it is."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Read it."""
        number = super().__new__(cls, text)
        number.text = text
        return number


def _text(value: object) -> object:
    """Take a number where a text is wanted, as it is written: customer ids, versions."""
    return value.text if isinstance(value, WrittenInt | WrittenFloat) else value


def unicode(value: str) -> str:
    """Refuse what UTF-8 can't spell: it could be written nowhere."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("has a character that is no Unicode; is the file or the variable UTF-8?") from None
    return value


def no_boolean(value: object) -> object:
    """Refuse true and false where a number is wanted; Python would count them as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic reports ValueError, and lets TypeError through
    return value


def plain_url(credentials: str) -> AfterValidator:
    """Refuse what is no address of an API, and credentials in one: addresses are shown.

    Args:
        credentials: the keys that stand for a user name and a password instead.
    """

    def checked(value: str) -> str:
        url = _split(value, ("http", "https"))
        if url is None:
            raise ValueError("must be a URL that begins with http:// or https://")
        if url.username or url.password:
            raise ValueError(f"must not hold a user name or a password; {credentials} has keys for them")
        if url.query or url.fragment:
            raise ValueError("must not hold a `?` or a `#`: addresses are shown, and a secret behind one would be, too")
        return value

    return AfterValidator(checked)


def _proxy(value: SecretStr) -> SecretStr:
    if _split(value.get_secret_value(), ("http", "https")) is None:
        raise ValueError("must be a URL that begins with http:// or https://")
    return value


def _split(value: str, schemes: tuple[str, ...]) -> SplitResult | None:
    try:
        url = urlsplit(value)
        good = url.scheme in schemes and url.hostname and url.port != 0 and not re.search(r"\s", value)
    except ValueError:
        return None
    return url if good else None


NAME = r"^[^\s,\[\]|=&]+$"
"""A vendor's name of a field: one, and without what separates names in a request."""

Text = Annotated[str, Field(min_length=1), BeforeValidator(_text), AfterValidator(unicode)]
Name = Annotated[str, Field(min_length=1, pattern=NAME), BeforeValidator(_text), AfterValidator(unicode)]
Url = Annotated[str, plain_url("`auth`")]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy)]
Count = Annotated[int, Field(ge=1), BeforeValidator(no_boolean)]


class Strict(BaseModel):
    """The base of every part of the file: unknown keys are errors, values are never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Limits(Strict):
    """What a source may be asked at most, shared by all its queries."""

    concurrency: Count = Field(default=4, description="Requests at the same time.")
    requests_per_minute: Count | None = Field(default=None, description="Requests in any 60 seconds.")


class HttpSettings(Strict):
    """How a source's hosts are reached."""

    ca_file: Path | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's."
    )
    proxy_url: ProxyUrl | None = Field(default=None, description="Proxy for all requests; it may hold a password.")
    http2: bool = Field(default=False, description="Speak HTTP/2 with hosts that do, where no proxy is between.")


class SourceSettings(Strict):
    """The keys that every source has; a vendor's module adds its own, and the shape of ``auth``."""

    type: str
    auth: Strict
    labels: dict[str, Text] = Field(default={}, description="Labels on every series of this source.")
    limits: Limits = Limits()
    http: HttpSettings = HttpSettings()
