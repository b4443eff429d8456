"""What the formats keep their arrays in: each reader gives the arrays of its own or None."""
