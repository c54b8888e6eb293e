"""Stillhouse's engine: from a recipe to measured points.

    Recipe -> phases (objective + stages + epochs) -> trained student -> artifact -> measure -> Result
    Result -> store -> table -> Pareto front -> figure -> page

- ``recipe``: everything that a trial depends on, a frozen value with a key. ``knobs``, ``registry`` and ``catalogue``
  say what a recipe may hold; ``tasks``, ``losses``, ``stages`` and ``sample_models`` are the plug-ins behind it.
- ``pipeline`` runs one trial: ``student`` trains it phase by phase with the only loop (``training``), ``teaching``
  brings the teachers' outputs, ``weights`` holds masks and lattices, ``artifact`` writes the files, ``measure`` counts
  and times them.
- ``search.grid`` measures every sparsity and bit-width of a dense student; ``search.pareto`` finds fronts and knees.
- ``store`` keeps requests, progress and results; ``runner`` takes work from it and ``execution`` does it in workers.
- ``api`` is all that pages and the command line (``cli``) use: plain data, no torch. ``figures`` draw plain tables.

Imports point one way (docs/architecture.md, tests/test_architecture.py).
"""
