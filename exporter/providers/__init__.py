"""The vendors. A new one is a module beside this, its catalogue file, and a line here."""

from exporter.providers.base import Provider
from exporter.providers.ibm_video import IbmVideo
from exporter.providers.smartsight import SmartSight

PROVIDERS: dict[str, type[Provider]] = {"smartsight": SmartSight, "ibm_video": IbmVideo}
"""Source types, as ``type:`` of a source names them."""
