"""Write the dashboards of the example configuration: ``python grafana/generate.py``."""

from pathlib import Path

from exporter import demo
from exporter.config import load
from exporter.dashboards import generate

HERE = Path(__file__).parent

if __name__ == "__main__":
    config = load(demo.example(), name="config.example.yaml", env=demo.CREDENTIALS)
    for name, text in generate(config).items():
        (HERE / "dashboards" / name).write_text(text, "utf-8")
        print(name)
