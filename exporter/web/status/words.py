"""Times and spans as a person reads them."""

from datetime import UTC, datetime

from exporter.web.status.html import Html, joined, tag

MINUTE, HOUR, DAY = 60, 3600, 86_400

LAST = 253_402_300_799
"""The last second of the year 9999, beyond which no moment has a date."""


def span(seconds: float) -> str:
    """Give a length of time, as exactly as a reader wants it: ``12 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = round(abs(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    large, small = (("h", HOUR), ("min", MINUTE)) if whole < DAY else (("d", DAY), ("h", HOUR))
    count, rest = divmod(whole, large[1])
    return f"{count} {large[0]}" + (f" {rest // small[1]} {small[0]}" if rest >= small[1] else "")


def relative(moment: float, now: float) -> str:
    """Say when something was or will be: ``12 s ago``, ``in 3 min``, ``now``."""
    away = _dated(moment) - now
    if abs(away) < 1:
        return "now"
    return f"in {span(away)}" if away > 0 else f"{span(away)} ago"


def utc(moment: float) -> str:
    """Give a moment in UTC."""
    return _stamp(moment).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(moment: float) -> str:
    """Give a moment's time of day in UTC."""
    return _stamp(moment).strftime("%H:%M:%S")


def _stamp(moment: float) -> datetime:
    return datetime.fromtimestamp(_dated(moment), UTC)


def _dated(moment: float) -> float:
    """Give the next moment that has a date: whatever a vendor says of time must not cost the page."""
    return min(max(0.0, moment), LAST)


def when(moment: float | None, now: float, otherwise: str = "—") -> Html:
    """Give a moment in words, and in UTC below: its day too where that is another one."""
    if moment is None:
        return joined(otherwise)
    stamp = _stamp(moment)
    same_day = stamp.date() == _stamp(now).date()
    below = f"{clock(moment)} UTC" if same_day else utc(moment)
    iso = stamp.strftime("%Y-%m-%dT%H:%M:%SZ")
    return tag("time", tag("b", relative(moment, now)), tag("small", below), datetime=iso, title=utc(moment))


def took(seconds: float | None) -> str:
    """Give how long something took, to two digits or so."""
    if seconds is None:
        return "—"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - two digits say enough


def number(value: float) -> str:
    """Give a count with its thousands apart."""
    return f"{value:,.0f}"


def some(count: int, noun: str) -> str:
    """Give a count of things."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number(count)} {noun if count == 1 else plural}"
