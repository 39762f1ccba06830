"""Kubernetes manifests and compose files: their containers, the commands in them, and patches around them."""
