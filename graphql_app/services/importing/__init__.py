"""The office from files, and the demo office."""
