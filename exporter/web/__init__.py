"""What the exporter serves over HTTP (contract section 3): bytes from memory, at the cost of copying them out."""
