"""An archive to attach to an issue."""
