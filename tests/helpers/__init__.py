"""What several tests share: crystals, calculators, networks, runs."""
