"""Tiles: one row a tile, identified by place, size, source and flight."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE tiles (
            id                      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            zoom                    smallint NOT NULL CHECK (zoom BETWEEN 0 AND 24),
            x                       integer NOT NULL CHECK (x >= 0 AND x < (1 << zoom)),
            y                       integer NOT NULL CHECK (y >= 0 AND y < (1 << zoom)),
            tile_size_m             double precision NOT NULL CHECK (tile_size_m > 0),
            source                  text NOT NULL CHECK (source ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
            flight_id               uuid,
            captured_at             timestamptz,
            ground_resolution_m_px  double precision NOT NULL CHECK (ground_resolution_m_px > 0),
            sector_class            text,
            freshness               text NOT NULL DEFAULT 'fresh' CHECK (freshness IN ('fresh', 'downgraded')),
            content_sha256          bytea NOT NULL CHECK (length(content_sha256) = 32),
            mask_sha256             bytea CHECK (length(mask_sha256) = 32),
            valid_fraction          real NOT NULL DEFAULT 1 CHECK (valid_fraction > 0 AND valid_fraction <= 1),
            size_bytes              integer NOT NULL CHECK (size_bytes > 0),
            voting_status           text NOT NULL DEFAULT 'pending'
                                    CHECK (voting_status IN ('pending', 'trusted', 'rejected', 'upload_giveup')),
            upload_attempts         integer NOT NULL DEFAULT 0 CHECK (upload_attempts >= 0),
            parent_sigma_m          double precision CHECK (parent_sigma_m >= 0),
            quality_metadata        jsonb NOT NULL DEFAULT '{}',
            last_access_at          timestamptz,
            inserted_at             timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX tiles_identity ON tiles
            (zoom, x, y, tile_size_m, source, coalesce(flight_id, '00000000-0000-0000-0000-000000000000'::uuid))
    """)
    # Boxes are read by the first, the southern and northern ends of a source by the second.
    op.execute("CREATE INDEX tiles_place ON tiles (source, zoom, x, y)")
    op.execute("CREATE INDEX tiles_row ON tiles (source, zoom, y)")


def downgrade() -> None:
    op.execute("DROP TABLE tiles")
