"""The vLLM command as a value."""
