"""Helpers for asyncio that know nothing of the house: coalescing, single flight, deadlines, cooperative scheduling."""
