"""Use cases: verbs that take a Viewer and return what it may see."""
