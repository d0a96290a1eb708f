"""Store identity: which folder of tile files this database describes."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE store_identity (
            only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
            store_id    uuid NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE store_identity")
