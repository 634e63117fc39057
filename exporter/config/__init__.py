"""From YAML, variables and secret files to one frozen :class:`Config`. Nothing else reads YAML or the environment."""

from exporter.config.load import Config, ConfigError, Source, load, load_file, load_to_run

__all__ = ["Config", "ConfigError", "Source", "load", "load_file", "load_to_run"]
