"""Two results or flights against each other: what became better or worse beyond noise."""
