"""Floors in memory, kept true by the feed."""
