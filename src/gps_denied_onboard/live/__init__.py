"""The navigation service: its loop, threads, links and flight recording."""
