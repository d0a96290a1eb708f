"""What stands where: land cover, settlements, vegetation, relief."""
