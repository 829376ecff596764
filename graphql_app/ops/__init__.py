"""Listeners to observe: logs, metrics, health."""
