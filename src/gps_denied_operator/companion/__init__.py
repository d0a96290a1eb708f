"""The aircraft's computer over SSH."""
