"""A doctor for vLLM deployments: logs in, one root cause and its fix out."""

__version__ = "0.1.0"
