"""Other MD engines that ask this package for forces of fields."""
