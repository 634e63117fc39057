"""What the descriptions of panels say, made of what is known of their metrics."""

from collections.abc import Sequence
from dataclasses import replace

from exporter.dashboards.facts import fact
from exporter.dashboards.offer import Shown
from exporter.dashboards.spec import Advice

SPELLED = {"cdn": "CDN", "os": "OS", "errorcode": "error code", "assetname": "asset", "nextasset": "next asset"}


def described(each: Sequence[Shown], more: str = "") -> str:
    """Say which questions a panel answers, what is bad, what is done then, and from which query it is."""
    return _of(each).text(more, notes(each))


def _of(each: Sequence[Shown]) -> Advice:
    """Give what is known of some metrics; of several, each with its title."""
    found = {fact(shown.role).title: _known(shown) for shown in each}
    if len(found) == 1:
        return next(iter(found.values()))
    return Advice(
        "\n".join(f"- *{title}:* {one.question}" for title, one in found.items()),
        "\n".join(["", *(f"- *{title}:* {one.bad}" for title, one in found.items())]),
        " ".join(dict.fromkeys(one.next for one in found.values())),
    )


def notes(each: Sequence[Shown]) -> str:
    """Say from which queries some metrics are."""
    return "\n\n".join(dict.fromkeys(feed.note for shown in each for feed in shown.feeds))


def _known(shown: Shown) -> Advice:
    known, unit = fact(shown.role), shown.measure.unit
    meaning = shown.measure.help.partition(" Over the query's window;")[0].rstrip(".")
    bad = known.wrong
    if known.warn is not None and known.bad is not None:
        side = "below" if known.low else "from"
        bad = f"{side.capitalize()} {number(known.bad, unit)}; it deserves a look {side} {number(known.warn, unit)}."
    return Advice(f"{known.ask} {meaning}.", bad, known.next)


def grouped(shown: Shown, more: str) -> str:
    """Say the same of groups: what it means that one of them is bad, or all."""
    found = _known(shown)
    alike = "One that stands apart is the cause: click it to split it further. All alike: look at what they share."
    aside = alike if _limited(shown) else f"{found.next} Click a group to split it further."
    return replace(found, question=f"Which {words(shown.by)} is it? {found.question}", next=aside).text(
        more, notes([shown])
    )


def side_by_side(each: Sequence[Shown]) -> str:
    """Say what a row for each group tells."""
    names, by = ", ".join(fact(shown.role).title.lower() for shown in each), words(each[0].by)
    coloured = any(_limited(shown) for shown in each)
    return Advice(
        f"Which {by} is it, and what else is wrong there? For each: {names}.",
        "Yellow and red cells, in a row with enough plays or attempts: a row of few is chance."
        if coloured
        else fact(each[0].role).wrong,
        "Sort by the column that is bad, and click the row to split it further.",
    ).text(notes(each))


def number(value: float, unit: str) -> str:
    """Write a limit as a person reads it."""
    return f"{value * 100:g}%" if unit == "percentunit" else f"{value:g} s" if unit == "s" else f"{value:g}"


def _limited(shown: Shown) -> bool:
    return fact(shown.role).bad is not None


def words(labels: Sequence[str]) -> str:
    """Write labels as a person reads them."""
    return " and ".join(SPELLED.get(label, label.replace("_", " ")) for label in labels)
