"""The settings: what the operator decides, read once from the environment into one frozen object."""

from graphql_app.settings.environment import SettingsError, hand_down, read, source, unknown
from graphql_app.settings.model import PREFIX, Settings

__all__ = ["PREFIX", "Settings", "SettingsError", "hand_down", "read", "source", "unknown"]
