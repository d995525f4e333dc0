"""What other tools read, derived from the spec."""
