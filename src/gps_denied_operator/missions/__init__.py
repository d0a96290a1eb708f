"""From a flight plan, in the formats that people have, to the area whose map the aircraft needs."""
