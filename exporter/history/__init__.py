"""The past: a query's buckets as the vendors keep them, to a file or to a remote-write receiver."""
