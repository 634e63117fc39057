"""The command `query`, with simulated vendors and the real poller."""

import contextlib

import pytest

from exporter import demo
from exporter.commands import asking


@pytest.fixture
async def config():
    async with demo.vendors() as load_example:
        config = load_example()
        yield config


async def asked(config, *arguments, **more):
    told = []
    good = await asking.ask(config, asking.jobs(config, *arguments), told.append, **more)
    return good, told


async def test_a_query_is_polled_as_run_would(config):
    good, ((answer,),) = await asked(config, "qoe_by_cdn", [])
    assert good
    assert answer.outcome.succeeded
    assert answer.snapshot.series == answer.outcome.series > 0
    assert asking.error(answer) == ""


async def test_a_query_that_fails_says_why_in_one_line(configured):
    config = configured("name: q, source: old, metrics: [views]")
    source = config.sources["old"]
    here = source.settings.model_copy(
        update={
            "base_url": "http://127.0.0.1:1",
            "auth": source.settings.auth.model_copy(update={"token_url": "http://127.0.0.1:1"}),
        }
    )
    config.sources["old"] = type(source)(source.name, source.type, here, type(source.provider)(here))
    good, ((answer,),) = await asked(config, "q", [])
    assert not good
    assert answer.snapshot is None
    (line,) = asking.error(answer).splitlines()
    assert line.startswith("old: `q` failed (network): ")
    assert "CANARY" not in line


async def test_watching_polls_again_after_each_interval(config):
    slept = []

    class Enough(Exception):
        pass

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            raise Enough

    told = []
    with contextlib.suppress(Enough):
        await asking.ask(config, asking.jobs(config, "views_today", []), told.append, again=True, sleep=sleep)
    assert slept == [300, 300, 300]
    assert len(told) == 3


def test_all_sources_of_a_query_or_those_that_are_named(configured):
    config = configured("name: q, source: [mm, old], metrics: [x]", "name: p, source: mm, metrics: [x]")
    assert [job.query.key for job in asking.jobs(config, "q", [])] == [("mm", "q"), ("old", "q")]
    assert [job.query.key for job in asking.jobs(config, "q", ["old", "old"])] == [("old", "q")]


@pytest.mark.parametrize(
    ("name", "sources", "words"),
    [
        ("qeo", [], "there is no query `qeo` (did you mean `qoe`?); there are: qoe, other"),
        ("x", [], "there is no query `x`; there are: qoe, other"),
        ("qoe", ["odl"], "`qoe` does not ask `odl` (did you mean `old`?); it asks: mm, old"),
        ("other", ["old"], "`other` does not ask `old`; it asks: mm"),
    ],
)
def test_an_unknown_query_or_source(configured, name, sources, words):
    config = configured("name: qoe, source: [mm, old], metrics: [x]", "name: other, source: mm, metrics: [x]")
    with pytest.raises(asking.AskError) as caught:
        asking.jobs(config, name, sources)
    assert str(caught.value) == words
