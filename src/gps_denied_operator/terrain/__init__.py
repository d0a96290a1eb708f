"""Heights of the ground: read from the operator's files, brought to one datum, cut to a mission."""
