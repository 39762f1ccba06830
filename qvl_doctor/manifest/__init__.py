"""Workloads as people write them: what a Deployment, a Pod or a compose file gives its vLLM container, and what it lacks."""
