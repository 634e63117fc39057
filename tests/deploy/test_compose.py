"""The compose file: the specification knows every key, every path is there, every image has a version."""

import re

import compose_spec
import pytest
import yaml


@pytest.fixture(scope="module")
def text(root):
    """The file."""
    return (root / "deploy/compose.yaml").read_text()


@pytest.fixture(scope="module")
def services(text):
    """Its services, by name."""
    return yaml.safe_load(text)["services"]


def test_the_specification_knows_every_key(text, services):
    assert set(compose_spec.PyCompose.from_yaml(text).service_names()) == services.keys()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("image: x, imagge: y", "imagge"),
        ("image: x, ports: [a:b:c:d]", "invalid IP address"),
        ("image: x, depends_on: {b: {condition: service_up}}", "service_up"),
    ],
)
def test_what_checks_it_refuses_what_is_wrong(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        compose_spec.PyCompose.from_yaml(f"services: {{a: {{{wrong}}}}}")


def test_every_path_is_there(services, root):
    mounts = [mount for service in services.values() for mount in service.get("volumes", ())]
    sources = [mount.split(":")[0] for mount in mounts]
    builds = [service["build"] for service in services.values() if "build" in service]
    assert len(builds) == 1
    paths = [source for source in sources if source.startswith(".")]
    assert len(paths) >= 5
    for path in (*paths, *builds):
        assert (root / "deploy" / path).exists(), path
    # What is mounted can't be changed by what runs there.
    assert all(mount.endswith(":ro") for mount in mounts if mount.startswith("."))


def test_every_image_has_a_version(services):
    images = [service["image"] for service in services.values() if "image" in service]
    assert len(images) == 3
    assert all(re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", image) for image in images)


def test_only_this_machine_reaches_it(services):
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_prometheus_finds_what_the_file_starts(services, root):
    config = yaml.safe_load((root / "deploy/prometheus.yml").read_text())
    found = [config["scrape_configs"], config["alerting"]["alertmanagers"]]
    targets = [
        target for part in found for each in part for group in each["static_configs"] for target in group["targets"]
    ]
    assert {target.partition(":")[0] for target in targets} == {"exporter", "alertmanager"} <= services.keys()


def test_prometheus_keeps_what_the_rules_look_back_to(services, root):
    (kept,) = re.findall(r"--storage\.tsdb\.retention\.time=(\d+)d", " ".join(services["prometheus"]["command"]))
    texts = [path.read_text() for path in (root / "prometheus/rules").iterdir()]
    days = {"d": 1, "w": 7}
    spans = re.findall(r"(?:\[|offset )(\d+)([dw])", "".join(texts))
    assert int(kept) > max(int(number) * days[unit] for number, unit in spans)


def test_it_waits_for_what_is_ready(services):
    assert services["prometheus"]["depends_on"] == {"exporter": {"condition": "service_healthy"}}
