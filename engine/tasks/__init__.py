"""Tasks: one file each (data, splits, metric with its direction, preview)."""
