"""The command line ``ase-equivar``, one module for each command; `main` lists them."""
