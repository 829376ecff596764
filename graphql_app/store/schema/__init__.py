"""The tables, and rows as domain objects."""
