"""Whom the servers run as: ourselves, or for root, whom PostgreSQL refuses, somebody without rights."""

import logging
import os
import pwd
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graphql_app.embedded.errors import EmbeddedError

log = logging.getLogger(__name__)

ENTER, READ_AND_ENTER = 0o001, 0o005


@dataclass(frozen=True, slots=True)
class SystemAccount:
    """The user and group of the servers; None for both where they are ours."""

    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> None:
        if self.uid is not None:
            shutil.chown(path, self.uid, self.gid)


def account_for(cluster: Path) -> SystemAccount:
    """Raises EmbeddedError if the cluster there belongs to somebody whom we cannot become."""
    owner = cluster.stat().st_uid if cluster.exists() else None
    if os.geteuid() == 0:
        return _unprivileged(owner)
    if owner not in (None, os.geteuid()):
        raise EmbeddedError(f"{cluster} belongs to {_name(owner)}: run as that user or as root")
    return SystemAccount()


def _unprivileged(owner: int | None) -> SystemAccount:
    """Who made the cluster before keeps it. Else nobody: the wheel adds a user to the system for this, which outlives
    it and fails where /etc is read-only or useradd is not there; a bare number without a name is refused by initdb."""
    try:
        user = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError(f"PostgreSQL refuses root, and there is no user {owner or 'nobody'}: add it") from None
    return SystemAccount(user.pw_uid, user.pw_gid)


def _name(uid: int | None) -> str:
    return next((user.pw_name for user in pwd.getpwall() if user.pw_uid == uid), f"user {uid}")


def admit(account: SystemAccount, installed: Iterable[Path], data: Path) -> None:
    """Lets the account reach programs and data where root keeps them closed, as /root (0700) is.

    Every closed directory above is opened for entering (o+x), and for nothing more: its files cannot be listed, and
    keep their own modes. The wheel opens them for reading as well. A copy of the programs would spare only half of it,
    because the data, which stay where they were asked for, lie below /root just as often. Capabilities that ignore
    modes (CAP_DAC_READ_SEARCH) would open every file of the machine to SQL.
    """
    if account.uid is None:
        return
    for directory in closed(account.uid, [data, *data.parents]):
        _open(directory, ENTER)
    for root in installed:
        for directory in closed(account.uid, root.parents):
            _open(directory, ENTER)
        # Only a pip under umask 077 leaves the wheel's own files unreadable.
        if (root.stat().st_mode & READ_AND_ENTER) != READ_AND_ENTER:
            _open_tree(root)


def closed(uid: int, directories: Iterable[Path]) -> Iterator[Path]:
    """The directories that this user cannot pass through (access lists are not considered)."""
    for directory in directories:
        status = directory.stat()
        needed = 0o100 if status.st_uid == uid else ENTER
        if not status.st_mode & needed:
            yield directory


def _open(path: Path, bits: int) -> None:
    rights = "x" if bits == ENTER else "rx"
    log.warning("%s gets o+%s: the embedded servers, which cannot run as root, must get in", path, rights)
    path.chmod(path.stat().st_mode | bits)


def _open_tree(root: Path) -> None:
    _open(root, READ_AND_ENTER)
    for path in root.rglob("*"):
        mode = path.stat().st_mode
        path.chmod(mode | (mode >> 6 & READ_AND_ENTER))
