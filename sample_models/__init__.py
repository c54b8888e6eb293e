"""Teachers and students: one file a family; each registers its sizes as :class:`engine.model_spec.ModelSpec`."""
