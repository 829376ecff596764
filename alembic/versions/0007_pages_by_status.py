"""An index for the list that is asked for most: the workstations of one building in one status, and how many they are.

Without it the page walks the primary key past all other buildings, and the count reads every row of the building.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("workstations_building_status_idx", "workstations", ["building", "status", "id"])


def downgrade() -> None:
    op.drop_index("workstations_building_status_idx", "workstations")
