"""Tests of the inference; a package because they share small models."""
