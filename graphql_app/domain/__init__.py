"""Plain values and rules, one file a subject: no I/O, no loop."""
