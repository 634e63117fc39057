"""Points in time as the vendors write them."""

import math
import re
from datetime import datetime, tzinfo

MONTH = re.compile("[0-9]{4}-[0-9]{2}")


def epoch(value: object, zone: tzinfo | None = None) -> float | int | None:
    """Give Unix seconds of a number, a numeric text or an ISO 8601 text; ``None`` of anything else.

    A text without an offset is read in ``zone``; without one it is nothing, for it may mean any time.
    """
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return _iso(value, zone) if isinstance(value, str) else None
    if not math.isfinite(number):
        return None
    return number if isinstance(value, str) else value


def _iso(value: str, zone: tzinfo | None) -> float | None:
    try:
        moment = datetime.fromisoformat(f"{value}-01" if MONTH.fullmatch(value) else value)
    except ValueError:
        return None
    # Without an offset it would be read in the time zone of this machine.
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return moment.timestamp() if moment.tzinfo else None
