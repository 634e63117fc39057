"""The Helm chart, case by case: what helm, Kubernetes, the operator and the exporter say, and what is promised."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from exporter.cli import main
from exporter.config import load
from exporter.shard import Shard

CHART = Path(__file__).parents[2] / "deploy/helm/video-analytics-exporter"
CASES = sorted(path.name for path in (CHART / "ci").iterdir())
OPERATOR = "monitoring.coreos.com/v1"
KUBERNETES = ("1.27", "1.37")
SHARDING = {"--shard", "--total-shards", "--shard.peers"}
ENV = dict.fromkeys(("SMARTSIGHT_API_KEY", "IBM_CLIENT_ID", "IBM_CLIENT_SECRET"), "x")

pytestmark = pytest.mark.real("helm")


@pytest.fixture(params=CASES)
def case(request):
    """Each file of values in ci/."""
    return CHART / "ci" / request.param


# --- What others say ---


def test_helm_lints_the_defaults(helm, chart):
    done = helm("lint", "--strict", chart)
    assert done.returncode == 0, done.stdout


def test_helm_lints_it(helm, chart, case):
    done = helm("lint", "--strict", chart, "--values", case)
    assert (done.returncode, "WARNING" in done.stdout) == (0, False), done.stdout


@pytest.mark.real("kubernetes-validate")
def test_kubernetes_knows_every_key(render, tmp_path):
    # Each of a kind once: it takes a tenth of a second for each.
    made = {}
    for name in CASES:
        for found in render(CHART / "ci" / name).objects:
            body = {key: value for key, value in found.items() if key not in {"metadata", "data"}}
            made.setdefault(json.dumps(body, sort_keys=True), found)
    kubernetes = [found for found in made.values() if found["apiVersion"] != OPERATOR]
    (tmp_path / "made.yaml").write_text(yaml.safe_dump_all(kubernetes))
    versions = [argument for version in KUBERNETES for argument in ("-k", version)]
    done = subprocess.run(
        ["kubernetes-validate", *versions, "--strict", tmp_path / "made.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    # A line for each that it has a schema of.
    assert sum(" passed for resource " in line for line in done.stdout.splitlines()) == len(KUBERNETES) * len(
        kubernetes
    )


@pytest.mark.real("kubernetes-validate")
def test_the_operator_knows_every_key(render):
    # Installed beside kubernetes-validate: models that are made from the operator's own definitions.
    python = Path(shutil.which("kubernetes-validate")).with_name("python")
    schemas = json.loads(subprocess.run([python, "-c", SCHEMAS], capture_output=True, text=True, check=True).stdout)
    made = [found for name in CASES for found in render(CHART / "ci" / name).objects if found["apiVersion"] == OPERATOR]
    assert {found["kind"] for found in made} == schemas.keys()
    validators = {kind: jsonschema.Draft202012Validator(closed(schema)) for kind, schema in schemas.items()}
    for found in made:
        validators[found["kind"]].validate(found)


SCHEMAS = """
import json
from cloudcoil.models.prometheus_operator import v1
kinds = (v1.PrometheusRule, v1.ServiceMonitor)
print(json.dumps({kind.__name__: kind.model_json_schema(by_alias=True) for kind in kinds}))
"""


def closed(schema):
    """Forbid what a schema does not name. Its patterns are Go's, which are no Python's."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return {**more, **{key: closed(value) for key, value in schema.items() if key != "pattern"}}


@pytest.mark.real("promtool")
def test_promtool_takes_the_rules(render, case, tmp_path):
    for made in render(case).all("PrometheusRule"):
        (tmp_path / "rules.yml").write_text(yaml.safe_dump(made["spec"]))
        done = subprocess.run(
            ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_exporter_takes_the_configuration(render, case):
    for made in render(case).all("ConfigMap"):
        if "config.yaml" in made.get("data", {}):
            config = load(made["data"]["config.yaml"], name=case.name, env=ENV)
            assert len(config.queries) == len(yaml.safe_load(case.read_text())["config"]["queries"])


def test_the_exporter_has_every_flag(render, case):
    (container, *_) = render(case).pod["containers"]
    command, *arguments = container["args"]
    known = {name for parameter in main.get_command(None, command).params for name in parameter.opts}
    assert {argument.partition("=")[0] for argument in arguments} <= known


# --- What is promised ---


def test_nothing_may_more_than_it_must(render, case):
    spec = render(case).pod
    assert spec["automountServiceAccountToken"] is False
    wanted = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    assert spec["securityContext"].items() >= wanted.items()
    container = spec["containers"][0]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/data"]
    assert "--storage.path=/data" in container["args"]
    assert {volume["name"] for volume in spec["volumes"] if "emptyDir" in volume} <= {"data"}


def test_no_secret_is_in_it(render, case):
    found = render(case)
    assert found.all("Secret") == []
    assert all(account["automountServiceAccountToken"] is False for account in found.all("ServiceAccount"))


def test_its_parts_find_one_another(render, case):
    found = render(case)
    stateful = found.only("StatefulSet")
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    selectors = [stateful["spec"]["selector"]["matchLabels"]]
    selectors += [service["spec"]["selector"] for service in found.all("Service")]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in found.all("NetworkPolicy")]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in found.all("PodDisruptionBudget")]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert stateful["spec"]["serviceName"] in {service["metadata"]["name"] for service in found.all("Service")}
    # Exactly one of the two services, or each series would be scraped twice.
    for monitor in found.all("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        seen = [service for service in found.all("Service") if wanted <= service["metadata"]["labels"].items()]
        assert [service["spec"].get("clusterIP") for service in seen] == [None]
        assert monitor["spec"]["namespaceSelector"] == {"matchNames": [seen[0]["metadata"]["namespace"]]}


def test_the_page_s_example_lets_it_deliver_to_a_prometheus(render, tmp_path):
    page = (Path(__file__).parents[2] / "docs/deploy/kubernetes.md").read_text()
    (text,) = re.findall(r"```yaml\n(networkPolicy:.*?)```", page, re.DOTALL)
    (tmp_path / "values.yaml").write_text(text)
    policy = render(CHART / "ci/demo-values.yaml", "--values", tmp_path / "values.yaml").only("NetworkPolicy")
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 443, 9090]


def test_shards_know_how_many_and_where_they_are(render):
    found = render(CHART / "ci/shards-values.yaml")
    arguments = found.pod["containers"][0]["args"]
    headless = found.only("StatefulSet")["spec"]["serviceName"]
    peers = ",".join(f"video-{ordinal}.{headless}.analytics.svc:10310" for ordinal in range(4))
    assert {"--shard=auto", "--total-shards=4", f"--shard.peers={peers}"} <= set(arguments)
    alone = render(CHART / "ci/least-values.yaml").pod["containers"][0]["args"]
    assert not SHARDING & {argument.partition("=")[0] for argument in alone}


def test_the_exporter_starts_as_the_shard_that_it_is(render, monkeypatch, tmp_path):
    found, started = render(CHART / "ci/shards-values.yaml"), []
    monkeypatch.setattr("exporter.cli.serving.start", lambda _, **flags: started.append(flags))
    monkeypatch.setattr("socket.gethostname", lambda: "video-3")
    [config] = [made["data"]["config.yaml"] for made in found.all("ConfigMap") if "config.yaml" in made.get("data", {})]
    (tmp_path / "config.yaml").write_text(config)
    command, _, *flags = found.pod["containers"][0]["args"]
    done = CliRunner().invoke(main, [command, f"--config.file={tmp_path / 'config.yaml'}", *flags])
    assert done.exit_code == 0, done.output
    assert (started[0]["shard"], len(started[0]["peers"])) == (Shard(3, 4), 4)


def test_a_new_configuration_restarts_it(render):
    def checksum(interval):
        found = render(CHART / "ci/least-values.yaml", "--set", f"config.defaults.interval={interval}")
        return found.only("StatefulSet")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum("1m") == checksum("1m") != checksum("2m")


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        ("demo", "nothing it shows is true", "http_sd_configs"),
        ("environment", "prometheusRule.generated=rules.yml", "http_sd_configs"),
        ("shards", "4 shards poll a part of the queries each", "prometheusRule.generated"),
        ("least", "http://release-video-analytics-exporter.video.svc:10310/sd", "simulated"),
    ],
)
def test_the_notes_say_what_is_left_to_do(helm, chart, values, said, unsaid):
    arguments = ("--values", chart / f"ci/{values}-values.yaml", "--namespace", "video")
    notes = helm("install", "release", chart, "--dry-run=client", *arguments).stdout.partition("\nNOTES:\n")[2]
    assert said in notes
    assert unsaid not in notes
