"""How many workstations there are of each kind, without looking at them: what was counted, and what the log says of
the time since.

Whoever changes a workstation counts nothing: all who do would wait for each other. The leading process does it later,
from the log (store/log/counting).
"""

from sqlalchemy import FromClause, text

from graphql_app.store.schema.tables import workstation_counts

_CHANGED = """
SELECT image->>'building' AS building, CAST(image->>'floor_number' AS integer) AS floor_number,
    CAST(image->>'department_id' AS integer) AS department_id, image #>> '{labels,department,name}' AS department,
    image->>'status' AS status, number AS workstations
FROM change_log CROSS JOIN LATERAL (VALUES (before, -1), (after, 1)) AS images (image, number)
WHERE entity = 'workstation' AND image IS NOT NULL AND """


def changed_cells(part: str) -> str:
    """Returns what a part of the log adds to each cell, image by image."""
    return _CHANGED + part


_CELLS = (
    "SELECT building, floor_number, department_id, department, status, workstations FROM workstation_counts",
    # Up to the head: says nothing new but to the planner, that these are few.
    changed_cells("revision > (SELECT revision FROM counted) AND revision <= (SELECT revision FROM feed_head)"),
    changed_cells("revision IS NULL"),
)

# Each cell of the present, in one or several rows: their sum is how many it has.
CELLS: FromClause = text(" UNION ALL ".join(_CELLS)).columns(*workstation_counts.c).subquery("cells")
