"""Map tiles: the store on PostgreSQL and files, and the mosaic that matching reads.

`store.TileStore` is what flies; `sources` holds the plain readers of folders; `mosaic.MapMosaic` reads any of them.
"""
