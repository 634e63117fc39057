"""Markup, built so that a text can't become any: whatever is not :class:`Html` is escaped."""

from html import escape


class Html(str):
    """Markup."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: str | float | bool | None) -> Html:
    """Give an element.

    Args:
        name: of the element.
        children: texts, which are escaped, and markup, which is not; ``None`` is nothing.
        attributes: an underscore stands for a dash, one at the end is left out (``class_``); ``True`` is an attribute
            without a value, ``None`` and ``False`` are none.
    """
    return Html(f"<{name}{_attributes(attributes)}>{joined(*children)}</{name}>")


def void(name: str, /, **attributes: str | float | bool | None) -> Html:
    """Give an element that has no end, such as ``meta``."""
    return Html(f"<{name}{_attributes(attributes)}>")


def joined(*children: str | None) -> Html:
    """Give what children make one after the other."""
    return Html("".join(_markup(child) for child in children if child is not None))


def _markup(child: str) -> str:
    return child if isinstance(child, Html) else escape(child)


def _attributes(attributes: dict[str, str | float | bool | None]) -> str:
    return "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
