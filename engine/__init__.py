"""Stillhouse engine."""
