"""Tests of the matching; a package because they share the matchers."""
