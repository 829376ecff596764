"""Bookings: made, changed, ended, listed and followed."""
