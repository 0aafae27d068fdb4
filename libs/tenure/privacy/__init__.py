"""Pseudonyms and secrets, in plain Python."""
