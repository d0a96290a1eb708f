"""What is written during a flight and read after it: recordings, output logs, folders that appear whole or never."""
