import json
import logging

import pytest
import structlog

from exporter import logs


@pytest.fixture
def logged(capsys):
    """Configure logging, do something, and give the lines on standard error; then put everything back."""
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in logs.TALKATIVE}
    before = root.handlers[:], root.level

    def logged(level, form, act):
        logs.configure(level, form)
        act(structlog.get_logger("test"), logging.getLogger("a.library"))
        out, err = capsys.readouterr()
        assert out == ""
        return err.splitlines()

    yield logged
    root.handlers, root.level = before[0], before[1]
    root.setLevel(before[1])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


def test_logfmt_is_one_line_an_event(logged):
    (line,) = logged("info", "logfmt", lambda log, _: log.info("a message", query="q", error='two\nlines "x"'))
    assert line.startswith("ts=")
    assert line.endswith(r'level=info msg="a message" query=q error="two\nlines \"x\""')


def test_json_is_one_object_an_event(logged):
    (line,) = logged("info", "json", lambda log, _: log.warning("a message", n=5, text="a\nb", none=None))
    event = json.loads(line)
    assert event.pop("ts").endswith("Z")
    assert event == {"level": "warning", "msg": "a message", "n": 5, "text": "a\nb", "none": None}


@pytest.mark.parametrize("value", ["", "a b", "a=b", 'a"b', "a b\nc", "a\\b", "a\tb", "\x1b[31m", "é"])
def test_logfmt_can_be_read_back(logged, value):
    (line,) = logged("info", "logfmt", lambda log, _: log.info("m", value=value, last=1))
    written = line.partition(" value=")[2].removesuffix(" last=1")
    if written.startswith('"'):
        assert json.loads(written) == value
    else:
        assert written == value
        assert not set(value) & set(' ="\n')


@pytest.mark.parametrize("form", logs.FORMATS)
def test_libraries_take_the_same_way(logged, form):
    (line,) = logged("info", form, lambda _, library: library.warning("for %s\nx", "you"))
    assert "msg" in line
    assert r"for you\nx" in line
    assert "warning" in line


@pytest.mark.parametrize("form", logs.FORMATS)
def test_an_exception_stays_in_its_line(logged, form):
    def act(log, _):
        try:
            int("a\nb")
        except ValueError:
            log.exception("broke")

    (line,) = logged("info", form, act)
    assert "Traceback" in line
    assert "level" in line


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)])
def test_levels(logged, level, shown):
    def act(log, library):
        log.debug("x")
        library.info("x")
        log.warning("x")
        library.error("x")

    assert len(logged(level, "logfmt", act)) == shown


@pytest.mark.parametrize(
    "name", ["httpx", "httpcore.http11", "hpack.hpack", "aiohttp.client", "aiohttp.access", "asyncio"]
)
def test_talkative_libraries_tell_only_what_is_wrong(logged, name):
    def act(*_):
        logging.getLogger(name).info("GET https://host/?secret")
        logging.getLogger(name).debug("x")
        logging.getLogger(name).warning("wrong")

    (line,) = logged("debug", "logfmt", act)
    assert "wrong" in line


def test_configured_twice_it_still_logs_once(logged):
    def act(log, _):
        logs.configure("info", "logfmt")
        log.info("x")

    assert len(logged("info", "logfmt", act)) == 1


def test_apscheduler_s_warnings_of_each_skipped_tick_are_not_told(logged):
    assert logged("debug", "logfmt", lambda *_: logging.getLogger("apscheduler.scheduler").warning("skipped")) == []
