"""Everything that flies: position without satellite navigation, for the companion computer."""

VERSION = "0.1.0"
"""Of the whole source tree: both images, both programs. pyproject.toml, which Nix reads, says the same."""
