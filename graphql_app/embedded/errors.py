"""What can go wrong with the embedded servers, in one line that says what to do."""


class EmbeddedError(Exception):
    """The message is one line for a person at a terminal."""
