"""The example of routes: Alertmanager takes it, and each kind of alert gets where it should."""

import shutil
import subprocess

import pytest
import yaml

pytestmark = pytest.mark.real("amtool")

ROUTES = [
    ("video-operations-on-call", "CDNOutlier qoe critical mediamelon"),
    ("video-operations", "StartupTimeHigh qoe warning mediamelon"),
    ("live-events-on-call", "AudienceCollapse qoe critical ibm"),
    ("live-events", "AudienceSurge qoe warning ibm"),
    ("monitoring-on-call", "DataTooOld exporter critical ibm"),
    ("monitoring", "ReloadFailed exporter warning"),
    ("video-operations", "SomethingElse"),
]
LABELS = ("alertname", "category", "severity", "source")


def amtool(*arguments):
    return subprocess.run([shutil.which("amtool"), *map(str, arguments)], capture_output=True, text=True, check=False)


def test_amtool_takes_it(root):
    found = amtool("check-config", root / "prometheus/alertmanager.yml")
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(("receiver", "labels"), ROUTES)
def test_an_alert_is_routed(root, receiver, labels):
    pairs = [f"{name}={value}" for name, value in zip(LABELS, labels.split(), strict=False)]
    found = amtool(
        "config",
        "routes",
        "test",
        f"--config.file={root / 'prometheus/alertmanager.yml'}",
        f"--verify.receivers={receiver}",
        *pairs,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_receiver_is_reached(root):
    config = yaml.safe_load((root / "prometheus/alertmanager.yml").read_text())
    assert {receiver["name"] for receiver in config["receivers"]} == {receiver for receiver, _ in ROUTES}
