"""The only room that knows SQL and Redis."""
