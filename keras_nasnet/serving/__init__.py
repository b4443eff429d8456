"""A server of one classifier over HTTP, with a page for people."""
