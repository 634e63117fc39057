import contextlib
import signal
import socket
import subprocess
import sys

import click.testing
import pytest

import exporter
from exporter.cli import main

RIGHT = """\
sources:
  mm:
    type: smartsight
    base_url: ${A_URL:-http://127.0.0.1:1}
    customer_id: 1
    auth: {api_key: "${A_KEY:-CANARY-default}"}
queries:
  - {name: one, source: mm, metrics: [latency]}
  - {name: two, source: [mm], metrics: [views]}
"""
WRONG = RIGHT.replace("name: two", "name: one").replace("customer_id: 1", "customer: 1")
PATIENCE = 30
"""Seconds after which a process that should have ended is taken to hang."""


@pytest.fixture
def invoke():
    """Run a command in this process, with the environment that is given; whatever it raises is raised."""

    def invoke(*arguments, **env):
        return click.testing.CliRunner().invoke(main, [str(argument) for argument in arguments], env=env)

    return invoke


@pytest.fixture
def config(tmp_path):
    """Write a configuration and give its path."""

    def config(text=RIGHT, name="config.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return config


@pytest.fixture
def command(tmp_path):
    """Run the command as a process of its own in an empty directory, until it ends."""

    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "exporter", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return command


def failed(result, code, *words):
    """Check the exit code, and that standard error has one line for each of the words, and no traceback."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == len(words), result.stderr
    assert [word for word, line in zip(words, lines, strict=True) if word not in line] == []
    assert "Traceback" not in result.stderr


def test_check_of_a_right_file_prints_a_summary_and_exits_0(invoke, config):
    path = config()
    result = invoke("check", "--config.file", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == f"{path}: 1 source, 2 queries, no errors"


def test_check_of_a_wrong_file_prints_every_error_and_exits_1(invoke, config):
    path = config(WRONG)
    failed(
        invoke("check", "--config.file", path),
        1,
        f"{path}:2: sources.mm.customer_id: is missing",
        f"{path}:5: sources.mm.customer: unknown key (did you mean `customer_id`?)",
        f"{path}:9: queries[1].name: the name `one` stands twice",
    )


def test_run_with_a_wrong_file_says_the_same_and_exits_1(invoke, config):
    path = config(WRONG)
    checked, ran = (invoke(name, "--config.file", path) for name in ("check", "run"))
    assert ran.exit_code == 1
    assert (ran.stdout, ran.stderr) == (checked.stdout, checked.stderr)


@pytest.mark.parametrize("name", ["check", "run"])
def test_a_missing_file(invoke, tmp_path, name):
    path = tmp_path / "nowhere.yaml"
    failed(invoke(name, "--config.file", path), 1, f"{path}: No such file or directory; name the configuration with")


def test_a_file_that_is_a_directory(invoke, tmp_path):
    failed(invoke("check", "--config.file", tmp_path), 1, "Is a directory")


def test_a_file_that_is_no_text(invoke, config):
    failed(invoke("check", "--config.file", config(b"\xff\xfe\x00")), 1, "is no UTF-8 text")


@pytest.mark.parametrize("text", ["a: [\n", "a: \x01\n", "a: !!int b\n", "\x00"])
def test_a_file_that_is_no_yaml(invoke, config, text):
    failed(invoke("check", "--config.file", config(text)), 1, "is no valid YAML")


def test_the_file_is_config_yaml_here_unless_another_is_named(command, config, tmp_path):
    assert command("check").stderr.startswith("config.yaml: No such file")
    config()
    result = command("check")
    assert result.returncode == 0
    assert result.stdout.startswith("config.yaml: 1 source, 2 queries, no errors\n")
    assert command("check", f"--config.file={tmp_path / 'config.yaml'}").returncode == 0


@pytest.mark.parametrize(
    "text", [RIGHT, WRONG, RIGHT.replace("api_key:", "api_ky:"), RIGHT.replace("api_key:", "api_key:x")]
)
def test_check_never_shows_a_secret(invoke, config, text):
    result = invoke("check", "--config.file", config(text), A_KEY="CANARY-env")
    assert result.output
    assert "CANARY" not in result.output


def test_an_unset_variable_is_an_error_of_check(invoke, config):
    path = config(RIGHT.replace("${A_KEY:-CANARY-default}", "${A_KEY_THAT_IS_NOT_SET}"))
    failed(invoke("check", "--config.file", path), 1, f"{path}:6: sources.mm.auth.api_key: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["chek"],
        ["check", "--nosuch"],
        ["check", "extra"],
        ["check", "--config.file"],
        ["run", "--log.level", "loud"],
        ["run", "--log.format", "xml"],
        ["run", "--nosuch"],
        ["demo", "extra"],
        ["--nosuch"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_and_says_so_on_standard_error(invoke, arguments):
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: " in result.stderr or result.stderr.startswith("Error: ")


def test_help_and_version(invoke):
    for flag in ("-h", "--help"):
        shown = invoke(flag)
        assert shown.exit_code == 0
        assert [name for name in ("check", "run", "demo") if f"  {name} " not in shown.stdout] == []
    assert invoke("--version").stdout == f"video-analytics-exporter, version {exporter.__version__}\n"


@pytest.mark.parametrize("name", ["run", "demo"])
def test_the_flags_of_the_contract_and_their_defaults(invoke, name):
    shown = " ".join(invoke(name, "--help").stdout.split())
    flags = ["--web.listen-address", "--web.telemetry-path", "--log.level", "--log.format"]
    assert [flag for flag in flags if flag not in shown] == []
    assert [
        words for words in ("[default: :10310]", "[default: /metrics]", "[logfmt|json]") if words not in shown
    ] == []
    assert ("--config.file" in shown) == (name == "run")


BAD_ADDRESSES = ["", "x", "localhost", "10310", ":", ":http", ":-1", ":1.5", "localhost:٣", ":99999", "[::1]", "a b:x"]
NO_HOSTS = ["a..b:1", "ü..x:1", f"{'ü' * 70}:1", "192.0.2.1:1"]


HALF_BRACKETS = ["[::1:99999", "::1]:99999", "[:99999", "]:99999"]


@pytest.mark.parametrize("address", [*BAD_ADDRESSES, *HALF_BRACKETS])
def test_what_is_no_address_is_wrong_usage(invoke, config, address):
    result = invoke("run", "--config.file", config(), "--web.listen-address=:0", "--web.listen-address", address)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"'--web.listen-address': `{address}` is no address to listen on" in result.stderr


@pytest.mark.parametrize("address", NO_HOSTS)
def test_an_address_that_can_not_be_had_is_one_line_and_exit_1(invoke, config, address):
    result = invoke("run", "--config.file", config(), "--web.listen-address", address)
    failed(result, 1, f"`{address}`")


def test_a_port_in_use(invoke, config):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        failed(invoke("run", "--config.file", config(), "--web.listen-address", address), 1, "Address already in use")
        failed(invoke("demo", "--web.listen-address", address), 1, f"can't listen on `{address}`")


def test_one_of_several_addresses_that_is_in_use(command, config):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        addresses = ("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}")
        result = command("run", f"--config.file={config()}", *(f"--web.listen-address={at}" for at in addresses))
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert f"can't listen on `{addresses[1]}`" in result.stderr


@pytest.mark.parametrize("path", ["metrics", "", "/-/healthy", "/-/ready"])
def test_a_telemetry_path_that_could_not_be_served_is_wrong_usage(invoke, config, path):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        # The address is in use, so that a path that is taken ends here too.
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = ["--web.telemetry-path", path, "--web.listen-address", address]
        result = invoke("run", "--config.file", config(), *arguments)
    assert result.exit_code == 2
    assert "--web.telemetry-path" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_0(config, number):
    arguments = ["run", f"--config.file={config()}", "--web.listen-address=127.0.0.1:0", "--web.listen-address=:0"]
    process = subprocess.Popen([sys.executable, "-m", "exporter", *arguments], stderr=subprocess.PIPE, text=True)
    with process:
        try:
            listening = next(line for line in process.stderr if "listening" in line)
            process.send_signal(number)
            _, rest = process.communicate(timeout=5)
        finally:
            process.kill()
    assert process.returncode == 0
    assert listening.count("http://") == 2
    assert "Traceback" not in rest


def test_what_starts_with_a_wrong_file_shows_no_traceback(command, config):
    path = config(WRONG)
    result = command("run", "--config.file", path, "--web.listen-address", "127.0.0.1:0")
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert all(line.startswith(f"{path}:") for line in result.stderr.splitlines())
