"""Maps as users have them (rasters, tile folders, tile databases): read directly, or imported into the tile store."""
