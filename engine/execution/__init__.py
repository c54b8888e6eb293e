"""How trials run: a small protocol (base), a pool of local processes (local_pool), what happens in one (worker)."""
