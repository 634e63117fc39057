"""Builds the wheel and the sdist, installs the wheel from the lock, and runs its demo far from this checkout.

Run by ``make release-check``. What builds is what the locks have installed where this runs; nothing else is resolved.
"""

import contextlib
import filecmp
import http.client
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from pathlib import Path

import exporter

ROOT = Path(__file__).parents[1]
COMMAND = "video-analytics-exporter"
VENDORS = (b"\nsmartsight_", b"\nibm_video_")
PATIENCE = 60
"""Seconds after which gauges of both vendors must be there."""
EXAMPLES = {"config.example.yaml": "", "docs/runbooks": "*.md", "grafana": "*/*.*", "prometheus": "**/*.yml"}
"""What the wheel carries, by places of this checkout."""


class CheckError(Exception):
    """The release is not as it should be."""


def main() -> None:
    """Check all of it, and say what was found."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        wheel, sdist = build(ROOT, work / "dist")
        say(f"{wheel.name}: {wheel.stat().st_size >> 10} KiB, {sdist.name}: {sdist.stat().st_size >> 10} KiB")
        builds_the_same(sdist, wheel, work)
        say("the sdist builds the same wheel")
        holds_the_examples(wheel)
        command = install(wheel, work / "venv")
        say("installed into a fresh virtual environment, from requirements/run.txt")
        home = work / "home"
        home.mkdir()
        say(f"`{COMMAND} examples` writes {writes_the_examples(command, home)} files, as they are here")
        say(f"`{COMMAND} demo` serves {demo(command, home)} series of both vendors")


def build(project: Path, output: Path) -> tuple[Path, Path]:
    """Build a project's wheel and sdist, and give where they are."""
    run(Path(sys.executable).parent / "hatchling", "build", "-d", output, cwd=project)
    (wheel,), (sdist,) = output.glob("*.whl"), output.glob("*.tar.gz")
    if f"-{exporter.__version__}-" not in wheel.name:
        raise CheckError(f"{wheel.name} is not of version {exporter.__version__}")
    return wheel, sdist


def builds_the_same(sdist: Path, wheel: Path, work: Path) -> None:
    """Build the wheel from the sdist alone, and compare the bytes."""
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "unpacked", filter="data")
    (project,) = (work / "unpacked").iterdir()
    again, _ = build(project, work / "again")
    if not filecmp.cmp(again, wheel, shallow=False):
        raise CheckError(f"the sdist builds another {wheel.name} than the checkout")


def holds_the_examples(wheel: Path) -> None:
    """Look for what belongs to the package beside its modules."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = [
        f"exporter/examples/{path.relative_to(ROOT)}"
        for place, pattern in EXAMPLES.items()
        for path in ((ROOT / place).glob(pattern) if pattern else [ROOT / place])
    ]
    if missing := [name for name in wanted if name not in names]:
        raise CheckError(f"{wheel.name} lacks {', '.join(missing)}")
    if strange := [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]:
        raise CheckError(f"{wheel.name} would install {', '.join(strange)}")


def install(wheel: Path, place: Path) -> Path:
    """Install the locked dependencies and the wheel into a new virtual environment, and give its command."""
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements" / "run.txt")
    run(*pip, "--no-index", wheel)
    return place / "bin" / COMMAND


def writes_the_examples(command: Path, home: Path) -> int:
    """Let the installed command write the examples, and compare them with those of the checkout."""
    written = run(command, "examples", cwd=home).split()
    for name in written:
        here = Path(name).relative_to("examples")
        if not filecmp.cmp(home / name, ROOT / here, shallow=False):
            raise CheckError(f"the installed example {here} is not that of the checkout")
    return len(written)


def demo(command: Path, home: Path) -> int:
    """Run the installed demo until gauges of both vendors are there, and give the number of their series."""
    port = free_port()
    arguments = (command, "demo", f"--web.listen-address=127.0.0.1:{port}")
    log = home / "demo.log"
    with log.open("wb") as out, subprocess.Popen(arguments, cwd=home, env=apart(), stdout=out, stderr=out) as process:
        try:
            body = polled(port, process)
        finally:
            process.terminate()
    if process.returncode or body is None:
        raise CheckError(f"the demo ended with {process.returncode}, and said:\n{log.read_text()[-3000:]}")
    return sum(line.startswith(tuple(vendor[1:] for vendor in VENDORS)) for line in body.splitlines())


def polled(port: int, process: subprocess.Popen[bytes]) -> bytes | None:
    """Give the first scrape with gauges of both vendors; ``None`` where there is none."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            body = scraped(port)
            if all(vendor in body for vendor in VENDORS):
                return body
        time.sleep(0.2)
    return None


def scraped(port: int) -> bytes:
    """Give the metrics as they are now."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", "/metrics")
        return connection.getresponse().read()


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def apart() -> dict[str, str]:
    """Give the environment without what would lead Python back to this checkout."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


def run(*arguments: object, cwd: Path = ROOT) -> str:
    """Run a command to its end and give its output.

    Raises:
        CheckError: it failed; with what it said.
    """
    words = [str(argument) for argument in arguments]
    done = subprocess.run(words, cwd=cwd, env=apart(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def say(text: str) -> None:
    """Tell what is done."""
    print(f"release: {text}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except CheckError as error:
        sys.exit(f"release: {error}")
