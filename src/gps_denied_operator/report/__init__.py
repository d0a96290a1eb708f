"""One self-contained HTML page about flights: it opens from a file, without a network."""
