"""What is loaded for which command, in a process of its own."""

import subprocess
import sys

import pytest

from exporter.cli import COMMANDS, main

NOT_FOR_RUN = (
    "bcrypt",
    "exporter.rules",
    "exporter.simulator",
    "grafana_foundation_sdk",
    "greenlet",
    "h2",
    "pygments",
    "rich",
    "sqlite3",
)


def loaded(command, shown="*sys.modules"):
    code = f"import ssl, sys; from exporter.cli import main; main.get_command(None, {command!r}); print({shown})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_run_loads_nothing_that_only_other_commands_need():
    assert set(NOT_FOR_RUN).isdisjoint(modules := loaded("run"))
    assert {"structlog", "httpx", "exporter.daemon"} <= set(modules)


def test_run_has_no_certificates_but_for_those_who_ask_for_them():
    """Contexts that aiohttp makes for itself would hold all authorities; ours are made as ever."""
    of_aiohttp = 'len(sys.modules["aiohttp.connector"]._SSL_CONTEXT_VERIFIED.get_ca_certs())'
    made = "ssl.create_default_context.__module__, ssl.create_default_context().verify_mode.name"
    assert loaded("run", f"{of_aiohttp}, {made}") == ["0", "ssl", "CERT_REQUIRED"]


def test_a_command_with_tables_has_rich_all_the_same():
    assert "rich" in loaded("plan")


def test_nothing_is_loaded_for_a_command_that_is_not_there():
    assert main.get_command(None, "serving") is None
    assert main.get_command(None, "no/such") is None


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_own_name_and_says_what_it_does(name):
    command = main.get_command(None, name)
    assert command.name == name
    assert command.help.endswith((".", "NAME now, and print what comes."))
