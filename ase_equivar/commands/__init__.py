"""What the commands of ``ase-equivar`` do; heavy imports wait until one runs."""
