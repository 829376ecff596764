"""The environment: read into settings, searched for mistyped variables, and handed down to worker processes."""

import os
from difflib import get_close_matches
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError as PydanticSettingsError

from graphql_app.settings.model import PREFIX, Settings


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable and says what it takes."""


def read(**overrides: Any) -> Settings:
    """Reads the settings of this process from the environment; `overrides` replace what is set there.

    Raises SettingsError with one line for the first setting that is wrong, or a line for each weakness in production.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        where = str(first["loc"][0]) if first["loc"] else ""
        if where in Settings.model_fields:
            where = Settings.variable(where)
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{where}: {message}" if where else message) from error
    except PydanticSettingsError as error:  # JSON that does not parse; it names the field, in quotes
        name = next(name for name in Settings.model_fields if f'"{name}"' in str(error))
        raise SettingsError(f"{Settings.variable(name)} takes {Settings.model_fields[name].description}") from error


def unknown() -> list[str]:
    """Returns a line for each variable that has our prefix and is no setting: mistyped, or of another release."""
    variables = [Settings.variable(name) for name in Settings.model_fields]
    strangers = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in variables)
    similar = {name: get_close_matches(name, variables, n=1, cutoff=0.9) for name in strangers}
    return [f"{name} is no setting{f': is {likely[0]} meant?' if likely else ''}" for name, likely in similar.items()]


def source(settings: Settings, name: str) -> str:
    """Returns where the value of a field comes from, as `doctor` shows it."""
    if os.environ.get(Settings.variable(name)):
        return "environment"
    return "made here" if name in settings.model_fields_set else "default"


def hand_down(settings: Settings) -> None:
    """Puts what `serve` decided (embedded servers, keys, metrics) into the environment of its worker processes."""
    for name in ("database_url", "redis_url", "metrics_directory", "secret", "token_private_key"):
        value = getattr(settings, name)
        if value is not None:
            os.environ[Settings.variable(name)] = (
                value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            )
    if settings.metrics_directory is not None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.metrics_directory)
