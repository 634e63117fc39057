"""Who may ask, and over what: ``--web.config.file`` in the format of prometheus/exporter-toolkit.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from exporter.web.access.live import Access, access

__all__ = ["Access", "access"]
