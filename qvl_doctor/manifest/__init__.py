"""Workloads as people write them: what a Deployment, Pod or compose file gives a vLLM container, and what it lacks."""
