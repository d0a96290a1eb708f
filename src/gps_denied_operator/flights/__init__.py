"""Commands around a flight: RELOC hint, upload after landing, report."""
