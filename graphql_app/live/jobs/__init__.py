"""Jobs that the leading process runs at intervals."""
