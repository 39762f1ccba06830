"""YAML as text: read with the place of each piece, edited and merged in place."""
