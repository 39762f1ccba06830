"""Secrets: what they look like, and how a line or a text is masked."""
