"""Where a broker comes from."""
