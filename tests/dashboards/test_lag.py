"""How late data is told to be, by Prometheus itself: each query against its own times, as DataTooOld does."""

import json
import shutil
import subprocess

import pytest

NOW = 7200
QUERIES = {  # interval, delay, how long ago the window ended, and the lag
    "usual": (60, 120, 120 + 60, 0.25),
    "long delay": (60, 3600, 3600 + 60, 0.25),
    "long interval": (1800, 120, 120 + 3600, 0.5),
    "too old": (60, 120, 120 + 4 * 60, 1),
}


def series(name, interval, delay, age):
    labels = f'{{job="j", instance="i", source="s", query="{name}"}}'
    times = {"window_end_timestamp": NOW - age, "interval": interval, "delay": delay}
    for time, value in times.items():
        yield {"series": f"video_analytics_exporter_query_{time}_seconds{labels}", "values": f"{value}x200"}


@pytest.mark.real("promtool")
@pytest.mark.parametrize("board", ["shipped/health"], indirect=True)
def test_a_query_is_late_by_its_own_times(board, tools, tmp_path):
    found = {panel["title"]: tools.fill(target["expr"], board) for panel, target in tools.targets(board)}
    lags = [{"labels": f'{{source="s", query="{name}"}}', "value": lag} for name, (*_, lag) in QUERIES.items()]
    cases = [
        {"expr": found["Lag of the data"], "eval_time": f"{NOW}s", "exp_samples": lags},
        {"expr": found["Largest lag"], "eval_time": f"{NOW}s", "exp_samples": [{"labels": "{}", "value": 1}]},
    ]
    seen = [one for name, (*times, _) in QUERIES.items() for one in series(name, *times)]
    test = {"interval": "1m", "input_series": seen, "promql_expr_test": cases}
    (tmp_path / "test.yml").write_text(json.dumps({"tests": [test]}))
    done = subprocess.run(
        [shutil.which("promtool"), "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
