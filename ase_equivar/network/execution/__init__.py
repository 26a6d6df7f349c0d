"""Execution of networks: backends, chunks, threads, tables."""
