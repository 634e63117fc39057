"""The groups that the dashboard Ads shows: also those whose ads fail, and none of a few ads."""

import json
import shutil
import subprocess

import pytest


def series(family, country, values):
    labels = f'job="j", instance="i", source="mediamelon", query="ads", country="{country}"'
    return {"series": f"smartsight_{family}{{{labels}}}", "values": values}


SEEN = [
    *(series("ad_fill_ratio", "US", "0.98x400"), series("ad_impressions", "US", "600x400")),
    *(series("ad_fill_ratio", "Brazil", "0.9x30 0x370"), series("ad_impressions", "Brazil", "60x30 0x370")),
    *(series("ad_fill_ratio", "Chile", "0.2x400"), series("ad_impressions", "Chile", "3x400")),
    # Of a country that has just begun there is no day to look back to.
    *(series("ad_fill_ratio", "Peru", "_x301 0.5x99"), series("ad_impressions", "Peru", "_x301 50x99")),
]


@pytest.mark.real("promtool")
@pytest.mark.parametrize("board", ["shipped/ads"], indirect=True)
def test_a_country_that_is_served_nothing_is_shown_and_a_small_one_is_not(board, tools, tmp_path):
    (expr,) = (target["expr"] for panel, target in tools.targets(board) if panel["title"] == "Ad fill by country")
    (lowest,) = (target["expr"] for panel, target in tools.targets(board) if panel["title"].startswith("Ad fill, low"))

    def case(asked, at, **shown):
        labels = [f'{{source="mediamelon", country="{name}"}}' for name in shown]
        samples = [{"labels": each, "value": value} for each, value in zip(labels, shown.values(), strict=True)]
        return {"expr": tools.fill(asked, board), "eval_time": at, "exp_samples": samples}

    cases = [case(expr, "20m", US=0.98, Brazil=0.9), case(expr, "302m", US=0.98, Brazil=0, Peru=0.5)]
    cases += [case(lowest, "20m", Brazil=0.9), case(lowest, "302m", Brazil=0)]
    test = {"interval": "1m", "input_series": SEEN, "promql_expr_test": cases}
    (tmp_path / "test.yml").write_text(json.dumps({"tests": [test]}))
    found = subprocess.run(
        [shutil.which("promtool"), "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
