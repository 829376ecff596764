"""REST, long-poll and server-sent events: one file a resource."""
