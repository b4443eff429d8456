"""The containers that formats store arrays in: each reader returns its arrays or None."""
