"""Interfaces to other MD engines, which obtain the forces of fields from this package."""
