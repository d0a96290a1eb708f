"""The operator workstation: maps in, flights and photographs scored, reports out."""
