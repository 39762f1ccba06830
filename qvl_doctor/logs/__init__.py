"""Logs: bytes to lines, lines to records, records to facts."""
