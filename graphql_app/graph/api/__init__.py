"""The schema, one file a subject."""
