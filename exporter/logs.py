"""Logging: one line an event, as logfmt or JSON, on standard error. Libraries' records take the same way."""

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Literal

import structlog

LEVELS = ("debug", "info", "warn", "error")
FORMATS = ("logfmt", "json")
TALKATIVE = ("httpx", "httpcore", "h2", "hpack", "aiohttp", "asyncio", "uvicorn", "apscheduler")
"""Libraries that tell of each request or tick what the exporter tells better, and hpack each header, secret or not."""


def configure(level: str, form: Literal["logfmt", "json"]) -> None:
    """Set up logging for the process."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.EventRenamer("msg"),
    ]
    render = structlog.processors.JSONRenderer() if form == "json" else _logfmt
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel("WARNING" if level == "warn" else level.upper())
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns of each tick that is skipped, without saying of which query; query_skipped_total does.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


def _logfmt(_: object, __: str, event: MutableMapping[str, object]) -> str:
    """Write an event as logfmt. structlog's own writer leaves a line feed in a value as it is."""
    first = {key: event[key] for key in ("ts", "level", "msg", "source", "query") if key in event}
    return " ".join(f"{key}={_written(value)}" for key, value in {**first, **event}.items())


def _written(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and not set(text) & set(' ="\\')
    return text if plain else json.dumps(text, ensure_ascii=False)
