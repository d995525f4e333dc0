"""Measure the validators beside other tools, and write archives to measure with."""
