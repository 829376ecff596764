"""What time brings about: jobs of the leading process."""
