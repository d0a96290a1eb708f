"""The command line `gps-denied-onboard`."""
