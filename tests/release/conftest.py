"""What makes a release are scripts, which are imported from their own directory."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "release"))
