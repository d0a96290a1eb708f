"""Use of the store: totals, least recently used, pending uploads, the current mission's areas, sectors; votes go on."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TOTALS_FUNCTION = """
    CREATE FUNCTION tiles_count() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        tiles_more bigint := 0;
        bytes_more bigint := 0;
        part record;
    BEGIN
        IF TG_OP <> 'DELETE' THEN
            SELECT count(*) AS tiles, coalesce(sum(size_bytes), 0) AS bytes INTO part FROM new_rows;
            tiles_more := part.tiles;
            bytes_more := part.bytes;
        END IF;
        IF TG_OP <> 'INSERT' THEN
            SELECT count(*) AS tiles, coalesce(sum(size_bytes), 0) AS bytes INTO part FROM old_rows;
            tiles_more := tiles_more - part.tiles;
            bytes_more := bytes_more - part.bytes;
        END IF;
        IF tiles_more <> 0 OR bytes_more <> 0 THEN
            UPDATE store_totals SET tiles = tiles + tiles_more, bytes = bytes + bytes_more;
        END IF;
        RETURN NULL;
    END $$
"""
VOTES_FUNCTION = """
    CREATE FUNCTION tiles_votes_go_on() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.voting_status <> 'pending' THEN
            RAISE EXCEPTION 'voting status % of tile % is final', OLD.voting_status, OLD.id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'tiles_votes_go_on';
        END IF;
        RETURN NEW;
    END $$
"""


def upgrade() -> None:
    op.execute("""
        ALTER TABLE tiles
            ADD COLUMN acknowledged_at timestamptz,
            ADD COLUMN provider_status text
                CHECK (provider_status IN ('queued', 'duplicate', 'superseded', 'rejected')),
            ADD CONSTRAINT tiles_sector_class_check CHECK (sector_class IN ('active_conflict', 'stable_rear'))
    """)
    op.execute("CREATE INDEX tiles_least_used ON tiles ((coalesce(last_access_at, inserted_at)), id)")
    op.execute("""
        CREATE INDEX tiles_to_upload ON tiles (flight_id, id)
        WHERE flight_id IS NOT NULL AND voting_status = 'pending' AND acknowledged_at IS NULL
    """)
    op.execute("CREATE INDEX tiles_downgraded ON tiles (source, zoom) WHERE freshness = 'downgraded'")
    op.execute("""
        CREATE TABLE store_totals (
            only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
            tiles       bigint NOT NULL CHECK (tiles >= 0),
            bytes       bigint NOT NULL CHECK (bytes >= 0)
        )
    """)
    op.execute("INSERT INTO store_totals (tiles, bytes) SELECT count(*), coalesce(sum(size_bytes), 0) FROM tiles")
    op.execute("""
        CREATE TABLE mission_areas (
            id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name    text NOT NULL,
            source  text NOT NULL,
            zoom    smallint NOT NULL,
            x0      integer NOT NULL,
            y0      integer NOT NULL,
            x1      integer NOT NULL CHECK (x1 > x0),
            y1      integer NOT NULL CHECK (y1 > y0),
            UNIQUE (name, source, zoom)
        )
    """)
    op.execute("""
        CREATE TABLE sectors (
            id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name            text NOT NULL UNIQUE,
            sector_class    text NOT NULL CHECK (sector_class IN ('active_conflict', 'stable_rear')),
            polygon         jsonb NOT NULL
        )
    """)
    op.execute(TOTALS_FUNCTION)
    for event, tables in (
        ("INSERT", "NEW TABLE AS new_rows"),
        ("UPDATE", "OLD TABLE AS old_rows NEW TABLE AS new_rows"),
        ("DELETE", "OLD TABLE AS old_rows"),
    ):
        op.execute(
            f"CREATE TRIGGER tiles_count_{event.lower()} AFTER {event} ON tiles REFERENCING {tables} "
            "FOR EACH STATEMENT EXECUTE FUNCTION tiles_count()"
        )
    op.execute(VOTES_FUNCTION)
    op.execute("""
        CREATE TRIGGER tiles_votes_go_on BEFORE UPDATE ON tiles FOR EACH ROW
        WHEN (OLD.voting_status IS DISTINCT FROM NEW.voting_status) EXECUTE FUNCTION tiles_votes_go_on()
    """)


def downgrade() -> None:
    for trigger in ("tiles_count_insert", "tiles_count_update", "tiles_count_delete", "tiles_votes_go_on"):
        op.execute(f"DROP TRIGGER {trigger} ON tiles")
    op.execute("DROP FUNCTION tiles_count()")
    op.execute("DROP FUNCTION tiles_votes_go_on()")
    op.execute("DROP TABLE sectors")
    op.execute("DROP TABLE mission_areas")
    op.execute("DROP TABLE store_totals")
    op.execute("DROP INDEX tiles_least_used, tiles_to_upload, tiles_downgraded")
    op.execute("""
        ALTER TABLE tiles DROP CONSTRAINT tiles_sector_class_check, DROP COLUMN provider_status,
            DROP COLUMN acknowledged_at
    """)
