"""Simple statistics of English prose."""
