"""Ready experiments in electric fields, one function each."""
