"""The office from files and to files, and the demo office."""
