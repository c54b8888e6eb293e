"""Compact real data that comes with the project; ``build.py`` makes it from its source."""
