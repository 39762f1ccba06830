"""What can be known: every fact by name, and which values it can have."""
