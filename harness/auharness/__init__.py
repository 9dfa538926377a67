"""Benchmark harness for facial action units and dynamic expressions."""
