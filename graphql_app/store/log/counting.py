"""How what the log says is counted: a part of it at once, each change in one of them."""

from sqlalchemy import text

from graphql_app.store.log.cells import changed_cells
from graphql_app.store.postgres.session import Reader
from graphql_app.store.postgres.statements import prepared

AT_ONCE_MOST = 5000  # changes

_PROGRESS = prepared(
    text("""
SELECT counted.revision AS counted, kept_from, feed_head.revision AS head FROM counted, feed_head
""")
)
# Of two who count at once, one finds that it has been done, and adds nothing.
_MOVED = """
WITH moved AS (
    UPDATE counted SET revision = least(revision + :most, :head) WHERE revision = :counted RETURNING revision
)
INSERT INTO workstation_counts (building, floor_number, department_id, department, status, workstations)
SELECT building, floor_number, department_id, department, status, sum(workstations) FROM moved, LATERAL ("""
_ADDED = """
) changed GROUP BY 1, 2, 3, 4, 5 HAVING sum(workstations) <> 0
ON CONFLICT ON CONSTRAINT workstation_counts_key
DO UPDATE SET workstations = workstation_counts.workstations + excluded.workstations
"""
_COUNT = prepared(
    text(_MOVED + changed_cells("change_log.revision > :counted AND change_log.revision <= moved.revision") + _ADDED)
)
_RECOUNT = prepared(text("SELECT workstation_recount_v1()"))
_FORGET = prepared(text("DELETE FROM workstation_counts WHERE workstations = 0"))


async def count(reader: Reader) -> bool:
    """Counts a part of what the log says since it was counted last. Returns whether there is more of it.

    What the log no longer has was deleted by a release that does not count: then all is counted anew.
    """
    progress = await reader.row(_PROGRESS)
    assert progress is not None, "feed_head and counted always have their one row"
    if not progress["kept_from"] <= progress["counted"] <= progress["head"]:
        await reader.fetch(_RECOUNT)
        return False
    if progress["counted"] == progress["head"]:
        return False
    await reader.fetch(_COUNT, {"counted": progress["counted"], "head": progress["head"], "most": AT_ONCE_MOST})
    return bool(progress["head"] - progress["counted"] > AT_ONCE_MOST)


async def forget_empty(reader: Reader) -> None:
    """Forgets the cells that have become empty."""
    await reader.fetch(_FORGET)
