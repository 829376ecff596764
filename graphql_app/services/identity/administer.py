"""Local accounts, as administrators keep them."""

from collections.abc import Collection, Sequence

from graphql_app.domain.access import Scope, require
from graphql_app.domain.account import Account, checked_name, checked_password
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Conflict, InvalidInput, NotFound
from graphql_app.domain.names import account_normal, normal
from graphql_app.services.identity.passwords import Passwords
from graphql_app.store import office as queries
from graphql_app.store.accounts import accounts as store
from graphql_app.store.postgres.database import Database
from graphql_app.store.postgres.retry import retry_on_contention


class Administer:
    """Keeps local accounts. Whatever is done takes effect at once, on open connections too: processes hear of it as of
    any change."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        roles: Collection[str],
        *,
        refused_passwords: frozenset[str] = frozenset(),
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._roles = roles
        self._refused_passwords = refused_passwords

    async def accounts(self, caller: Caller) -> Sequence[Account]:
        """Returns all accounts, by name. Raises Forbidden, Unavailable."""
        require(caller.viewer, Scope.ADMIN)
        return await store.everybody(self._database)

    @retry_on_contention
    async def add(self, caller: Caller, name: str, password: str, role: str, employee_number: str | None) -> None:
        """Adds an account. Raises Forbidden, InvalidInput, NotFound for the employee, Conflict for a name that is
        taken."""
        require(caller.viewer, Scope.ADMIN)
        self._check_role(role)
        password_hash = await self._hashed(password)
        key = None
        if employee_number is not None:
            employee = await queries.employee_by_number(self._database, normal(employee_number))
            if employee is None:
                raise NotFound(f"There is no employee with the number {employee_number}.")
            key = employee.key
        name = checked_name(name)
        async with self._database.writing(caller) as transaction:
            if not await store.add(transaction.connection, name, password_hash, role, key):
                raise Conflict(f"There is an account {name} already.")

    async def set_role(self, caller: Caller, name: str, role: str) -> None:
        """Sets the role. Raises Forbidden, InvalidInput, NotFound."""
        self._check_role(role)
        await self._change(caller, name, "role", role)

    async def set_disabled(self, caller: Caller, name: str, disabled: bool) -> None:
        """Disables an account, which logs it out everywhere, or enables it. Raises Forbidden, NotFound."""
        await self._change(caller, name, "disabled", disabled)

    async def set_password(self, caller: Caller, name: str, password: str) -> None:
        """Sets the password, and logs the account out everywhere. Raises Forbidden, InvalidInput, NotFound."""
        require(caller.viewer, Scope.ADMIN)
        await self._change(caller, name, "password_hash", await self._hashed(password))

    @retry_on_contention
    async def _change(self, caller: Caller, name: str, column: str, value: object) -> None:
        require(caller.viewer, Scope.ADMIN)
        async with self._database.writing(caller) as transaction:
            if not await store.change(transaction.connection, account_normal(name), column, value):
                raise NotFound(f"There is no account {name}.")

    async def _hashed(self, password: str) -> str:
        password = checked_password(password)
        if password in self._refused_passwords:
            raise InvalidInput("This is the password of the demo accounts; take one of your own.", field="password")
        return await self._passwords.hashed(password)

    def _check_role(self, role: str) -> None:
        if role not in self._roles:
            raise InvalidInput(f"There is no role {role}; there are {', '.join(self._roles)}.", field="role")
