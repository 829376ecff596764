"""Redis: broadcast, cache, limits, presence."""
