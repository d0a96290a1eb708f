"""How the aircraft moves in air that moves: wind, turbulence, airframe."""
