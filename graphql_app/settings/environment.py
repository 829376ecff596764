"""The environment: read into settings, searched for mistyped variables, and handed down to worker processes."""

import os
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import SecretStr, ValidationError

from graphql_app.settings.model import PREFIX, Settings


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable and says what it takes."""


def read(**overrides: Any) -> Settings:
    """Reads the settings of this process from the environment; `overrides` replace what is set there.

    Raises SettingsError with a line for each setting that is missing or wrong.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("\n".join(_faults(error, overrides))) from error


def _faults(error: ValidationError, overrides: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each fault. How settings fit together is judged once each is right by itself: for that, those
    that are not are taken as unset."""
    wrong = {_variable(str(fault["loc"][0])) for fault in error.errors() if fault["loc"]}
    for fault in error.errors():
        if fault["type"] == "default_factory_not_called":  # another is at fault
            continue
        where = f"{_variable(str(fault['loc'][0]))}: " if fault["loc"] else ""
        yield where + fault["msg"].removeprefix("Value error, ")
    if wrong:
        for line in _misfits_without(wrong, overrides):
            if not any(name in line for name in wrong):
                yield line


def _misfits_without(unset: Collection[str], overrides: Mapping[str, Any]) -> list[str]:
    """Returns what is said of the settings when these variables are not there. For the one thread of a start."""
    taken = {name: os.environ.pop(name) for name in unset if name in os.environ}
    try:
        Settings(**{name: value for name, value in overrides.items() if _variable(name) not in unset})
    except ValidationError as error:
        return [line for fault in error.errors() for line in fault["msg"].removeprefix("Value error, ").splitlines()]
    finally:
        os.environ.update(taken)
    return []


def _variable(name: str) -> str:
    """Returns the environment variable of a field; a name that is one already as it is."""
    return Settings.variable(name) if name in Settings.model_fields else name


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
