"""The change log: as an outbox, as it is numbered, as the audit log, and what is forgotten of it."""
