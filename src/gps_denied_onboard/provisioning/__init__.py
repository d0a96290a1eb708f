"""What is put on board before a flight, and the list that it is checked against."""
