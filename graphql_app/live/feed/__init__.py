"""The feed: one leader numbers, the relay carries, the hub hands out."""
