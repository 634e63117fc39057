import json
import math

import pytest
import truth
from chaos import PROBES, configuration, whole
from vendors import Ibm, Page, SmartSight

from exporter.config import load
from exporter.model import Turn, Window
from exporter.normalise import Tabulator
from exporter.plan import plan
from exporter.providers.decode import decode

WINDOWS = [Window(end - 10, end) for end in range(1_000_000, 1_000_040, 2)]


def asked(probe):
    config = load(json.dumps(configuration("http://mm", "http://ibm")), name="config.yaml", env={})
    return next(job for job in plan(config).jobs if job.query.name == probe.name)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_what_is_expected_is_what_the_real_parts_make_of_the_pages(probe):
    job = asked(probe)
    vendor = (SmartSight if probe.source == "mm" else Ibm)(probe.source, [], truth.dice("any"))
    for window in WINDOWS:
        tabulator = Tabulator(job.query)
        for part, told in zip(job.parts, probe.parts, strict=True):
            first, turn = 0, Turn(part, window)
            while True:
                body = Page(vendor, None, told.dataset, window, first).body()
                page = job.provider.parse(job.query, turn, decode(body))
                tabulator.add(page.rows, part.fields)
                if page.next is None:
                    break
                turn, first = Turn(part, window, page.next), first + told.dataset.page
        table = tabulator.table()
        found = {
            (column.family.name, tuple(sorted((*table.labels, *zip(table.names, row, strict=True))))): float(value)
            for column in table.columns
            for row, value in zip(table.rows, column.values, strict=True)
            if value is not None
        }
        assert found == truth.expected(probe, window)


def test_windows_differ_in_rows_and_values_and_stay_the_same():
    answers = [truth.expected(PROBES[0], window) for window in WINDOWS]
    assert len({len(answer) for answer in answers}) > 3
    truth.rows.cache_clear()
    assert [truth.expected(PROBES[0], window) for window in WINDOWS] == answers


def test_every_fate_of_a_value_comes():
    rows = [
        row
        for probe in PROBES
        for part in probe.parts
        for window in WINDOWS
        for row in truth.rows(part.dataset, window)
    ]
    cells = [cell for row in rows for cell in row.cells.values()]
    assert any(isinstance(cell, float) and math.isnan(cell) for cell in cells)
    assert {str, float, int, bool, type(None), list, dict} <= set(map(type, cells))
    fates = {type(value) for row in rows for value in row.expected.values()}
    assert fates == {float, type(None), str}
    assert any(row.labels is None and row.raw is truth.ABSENT for row in rows)
    assert any(row.raw is not truth.ABSENT for row in rows)


def test_an_answer_of_several_requests_is_whole_with_the_last_and_each_time_anew():
    assert whole([[1.0, 5.0], [2.0, 6.0]]) == [2.0, 6.0]
    assert whole([[1.0, 3.0], [4.0]]) == [4.0]
    assert whole([[1.0], []]) == []
