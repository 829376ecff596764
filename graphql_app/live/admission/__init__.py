"""Limits over all processes: connections, token buckets, and what each door asks of them."""
