"""Chemistry of a structure: its formula, and whether it is a metal."""
