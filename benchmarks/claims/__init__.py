"""What the methods' sources claim, as frozen values, and how each claim is measured. `make evidence` runs them all."""
