"""What moves: the feed, floors in memory, presence, sessions, limits, jobs."""
