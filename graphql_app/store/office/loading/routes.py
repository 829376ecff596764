"""The statements that take the rows of one kind from a temporary table to the table of the office."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    FromClause,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import array, insert
from sqlalchemy.sql.dml import Delete, Insert, Update

from graphql_app.domain.importing import COLUMNS, KEYS, REFERENCES, Check, ImportKind, Reference, Row
from graphql_app.store.schema.tables import buildings, departments, employees, floors, workstations

TARGETS: Mapping[ImportKind, Table] = {
    ImportKind.BUILDINGS: buildings,
    ImportKind.FLOORS: floors,
    ImportKind.DEPARTMENTS: departments,
    ImportKind.EMPLOYEES: employees,
    ImportKind.WORKSTATIONS: workstations,
}
# A column of the file that names a row of another table -> the column that holds its id, and what it is named by.
_NAMED: Mapping[str, tuple[str, Column[Any]]] = {
    "department": ("department_id", departments.c.name),
    "employee_number": ("employee_id", employees.c.employee_number),
}
ROW, LINE, _GIVEN = "import_row", "import_line", "import_given"
NEW, BEFORE, AFTER = "import_new", "before_", "after_"


def _temporary(name: str, *columns: Column[Any]) -> Table:
    return Table(name, MetaData(), *columns, prefixes=["TEMPORARY"], postgresql_on_commit="DROP")


FINDINGS = _temporary(
    "import_findings",
    Column("kind", Text),
    Column("index", Integer),
    Column("line", Integer),
    Column("column", Text),
    Column("check", Text),
    Column("detail", ARRAY(Text)),
)


class Route:
    """Rows of one kind. `staged` also keeps, as bits, which columns the file gives: the others stay as they are."""

    def __init__(self, kind: ImportKind) -> None:
        self.kind = kind
        self.target = TARGETS[kind]
        self._keys = KEYS[kind]
        self._bits = {column.name: 1 << place for place, column in enumerate(COLUMNS[kind])}
        self._defaults = {column.name: column.default for column in COLUMNS[kind]}
        self.staged = _temporary(
            f"import_{kind}",
            Column(ROW, Integer, primary_key=True),
            Column(LINE, Integer, nullable=False),
            Column(_GIVEN, Integer, nullable=False),
            *(Column(name, self._type(name)) for name in self._bits),
        )
        self._source, self._values = self._join()

    def _type(self, name: str) -> Any:
        return self.target.c[name].type if name in self.target.c else Text()

    def _join(self) -> tuple[FromClause, dict[str, tuple[str, ColumnElement[Any]]]]:
        """The rows beside what they name, and for each column of the target: which column of the file, which value."""
        source: FromClause = self.staged
        values: dict[str, tuple[str, ColumnElement[Any]]] = {}
        for name in self._bits:
            if name in self.target.c:
                values[name] = name, self.staged.c[name]
            else:
                column, known_as = _NAMED[name]
                source = source.outerjoin(known_as.table, known_as == self.staged.c[name])
                values[column] = name, known_as.table.c.id
        return source, values

    @property
    def changeable(self) -> bool:
        """Whether there is more to a row than its key. A department is all name."""
        return len(self._values) > len(self._keys)

    def record(self, row: Row) -> tuple[Any, ...]:
        """The row as COPY takes it: what the file does not give has the value that a new one gets."""
        given = sum(self._bits[name] for name in row.values)
        return row.index, row.line, given, *(row.values.get(name, default) for name, default in self._defaults.items())

    # --- what is wrong -----------------------------------------------------------------------------------------------

    def checks(self) -> Iterator[Select[Any]]:
        """Selects of findings."""
        yield self._repeated()
        for reference in REFERENCES[self.kind]:
            yield self._unknown(reference)
        for column in COLUMNS[self.kind]:
            if column.needed:
                yield self._needed(column.name)

    def _repeated(self) -> Select[Any]:
        rows = self.staged.c
        keys = [rows[name] for name in self._keys]
        ranked = select(
            rows[ROW],
            rows[LINE],
            func.first_value(rows[ROW]).over(partition_by=keys, order_by=rows[ROW]).label("first_row"),
            func.first_value(rows[LINE]).over(partition_by=keys, order_by=rows[ROW]).label("first_line"),
        ).subquery()
        detail = array([cast(ranked.c.first_line, Text), cast(ranked.c.first_row, Text)])
        found = self._finding(ranked, self._keys[-1], Check.REPEATED, detail)
        return found.where(ranked.c[ROW] != ranked.c.first_row)

    def _unknown(self, reference: Reference) -> Select[Any]:
        columns = [self.staged.c[name] for name in reference.columns]
        detail = array([literal(reference.to.value, Text), *(cast(column, Text) for column in columns)])
        found = self._finding(self.staged, reference.columns[-1], Check.UNKNOWN, detail)
        return found.where(*(column.is_not(None) for column in columns), ~exists().where(self._refers(reference)))

    def _needed(self, name: str) -> Select[Any]:
        found = self._finding(self.staged, name, Check.NEEDED, cast(array([]), ARRAY(Text)))
        return found.where(~self._gives(name), ~exists().where(self._same()))

    def _finding(self, rows: FromClause, column: str, check: Check, detail: ColumnElement[Any]) -> Select[Any]:
        return select(
            literal(self.kind.value, Text),
            rows.c[ROW],
            rows.c[LINE],
            literal(column, Text),
            literal(check.value, Text),
            detail,
        )

    # --- what differs ------------------------------------------------------------------------------------------------

    def _same(self) -> ColumnElement[bool]:
        return and_(*(self.target.c[name] == self.staged.c[name] for name in self._keys))

    def _refers(self, reference: Reference) -> ColumnElement[bool]:
        keys = [TARGETS[reference.to].c[name] for name in KEYS[reference.to]]
        return and_(*(key == self.staged.c[name] for key, name in zip(keys, reference.columns, strict=True)))

    def _gives(self, name: str) -> ColumnElement[bool]:
        return self.staged.c[_GIVEN].bitwise_and(self._bits[name]) != 0

    def _wanted(self) -> dict[str, ColumnElement[Any]]:
        """The columns of one that exists, as the file wants them: what it does not give stays as it is."""
        return {
            column: case((self._gives(name), value), else_=self.target.c[column])
            for column, (name, value) in self._values.items()
            if column not in self._keys
        }

    def _differs(self) -> ColumnElement[bool]:
        changed = (self.target.c[column].is_distinct_from(value) for column, value in self._wanted().items())
        return or_(literal(False), *changed)

    def drop_unchanged(self) -> Delete:
        unchanged = (
            select(self.staged.c[ROW]).join_from(self._source, self.target, self._same()).where(~self._differs())
        )
        return delete(self.staged).where(self.staged.c[ROW].in_(unchanged))

    def differences(self) -> Select[Any]:
        """What write() would do, in the order of the file: by columns of the file, the value before and the one after.
        NEW where there is none before; a column that the file does not give is as before."""
        rows, wanted = self.staged.c, dict[str, Any]()
        for name in self._bits:
            if name not in self._keys:
                before = self._before(name)
                wanted[f"{BEFORE}{name}"] = before
                wanted[f"{AFTER}{name}"] = case(
                    (or_(self._gives(name), self.target.c.id.is_(None)), rows[name]), else_=before
                )
        shown = [rows[name] for name in (ROW, LINE, *self._keys)]
        pairs = [value.label(label) for label, value in wanted.items()]
        joined = self.staged.outerjoin(self.target, self._same())
        return select(*shown, self.target.c.id.is_(None).label(NEW), *pairs).select_from(joined).order_by(rows[ROW])

    def _before(self, name: str) -> ColumnElement[Any]:
        """The value of the office as the file would write it: what a column refers to by its name."""
        if name in self.target.c:
            return self.target.c[name]
        column, known_as = _NAMED[name]
        return select(known_as).where(known_as.table.c.id == self.target.c[column]).scalar_subquery()

    # --- writing -----------------------------------------------------------------------------------------------------

    def locks(self) -> Iterator[Select[Any]]:
        """First the names that the rows show, then the rows, each in the order of ids: as a rename locks them."""
        for reference in REFERENCES[self.kind]:
            named = TARGETS[reference.to]
            shown = select(named.c.id).where(exists().where(self._refers(reference)))
            yield shown.order_by(named.c.id).with_for_update(read=True)
        changed = select(self.target.c.id).join_from(self.target, self.staged, self._same())
        yield changed.order_by(self.target.c.id).with_for_update(key_share=True, of=self.target)

    def _slice(self) -> ColumnElement[bool]:
        return self.staged.c[ROW].between(bindparam("first", type_=Integer), bindparam("last", type_=Integer))

    def insert(self) -> Insert:
        """The new ones of a slice, in the order of the file. What somebody else adds meanwhile is left to update()."""
        new = select(*(value for _, value in self._values.values())).select_from(self._source)
        new = new.where(self._slice(), ~exists().where(self._same())).order_by(self.staged.c[ROW])
        return insert(self.target).from_select(list(self._values), new).on_conflict_do_nothing()

    def update(self) -> Update:
        """The others of a slice."""
        columns = [value.label(column) for column, value in self._wanted().items()]
        changed = select(self.target.c.id, *columns).join_from(self._source, self.target, self._same())
        wanted = changed.where(self._slice(), self._differs()).subquery()
        values = {column.name: wanted.c[column.name] for column in columns}
        return update(self.target).values(values).where(self.target.c.id == wanted.c.id)
