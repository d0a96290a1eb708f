"""Reading flight recordings on the workstation: list, verify, look into, cut out, draw, export, follow."""
