"""Typed settings: one frozen model per YAML, unknown keys refused with the nearest known name."""
