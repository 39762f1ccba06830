"""Shell text: read into commands, and edited in place with the user's own quotes and lines."""
