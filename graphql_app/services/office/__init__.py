"""The office: reading it, and changing it."""
