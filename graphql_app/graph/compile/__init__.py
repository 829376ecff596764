"""Plans of plain selections, compiled: what answers without a resolver for each field."""
