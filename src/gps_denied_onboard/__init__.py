"""Everything that flies: position without satellite navigation, for the companion computer."""
