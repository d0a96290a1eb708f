"""Logs of autopilots as this project's own records: one reader a format, everything checked, on one clock."""
