"""How far a long command is: a bar at a terminal, elsewhere a line now and then."""

from collections.abc import Callable, Mapping, Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from exporter.history.backfill import Wanted

EVERY = 10.0
"""Seconds between two lines."""


class Progress:
    """Tells of requests that are done and left; ``clock`` gives steady seconds."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._total = self._before = self._now = 0
        self._started = self._told = clock()
        self._waits = False
        self.samples = 0
        """How many samples have come."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, console=console) if console.is_terminal else None
        self._task = self._bar.add_task("requests", total=None) if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, wanted: Sequence[Wanted], done: Mapping[str, int]) -> None:
        """Take in what is to be done, and how many pieces of each query are done already."""
        self._total = sum(each.pieces * len(each.past.parts) for each in wanted)
        self._before = sum(done[each.name] * len(each.past.parts) for each in wanted)
        self._started = self._told = self._clock()
        if self._bar and self._task is not None:
            self._bar.update(self._task, total=self._total, completed=self._before)
        else:
            before = f", {self._before} were made before" if self._before else ""
            self.say(f"{self._total - self._before} requests to make{before}")

    def done(self, each: Wanted, samples: int) -> None:
        """Take in that a piece is done."""
        self._now += len(each.past.parts)
        self.samples += samples
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self._before + self._now)
        elif self._clock() - self._told >= EVERY:
            self._told = self._clock()
            left = self._total - self._before - self._now
            rest = left * (self._told - self._started) / self._now
            made = f"{self._before + self._now} of {self._total} requests"
            self.say(f"{made}, {self.samples} samples, about {in_words(rest)} left")

    def tried(self, code: str, *, decided: bool) -> None:
        """Take in that something was sent to a receiver, and whether that has decided; say once that it waits."""
        if not decided and not self._waits:
            self.say(f"the receiver takes nothing ({code}); waiting for it")
        self._waits = not decided

    def say(self, line: str) -> None:
        """Tell something in a line of its own."""
        if self._bar:
            self._bar.console.print(line, markup=False, highlight=False)
            return
        # Rich would wrap it at the width of a terminal that is not there.
        self._console.file.write(f"{line}\n")
        self._console.file.flush()


def in_words(length: float) -> str:
    """Write seconds so that they can be grasped: ``2h 05m``, ``3m 20s``, ``40s``."""
    whole = round(length)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {whole % 60:02}s" if minutes else f"{whole}s"
