"""A case put together: what to read, what to look at, in which order. One module for each command, and the Python API.

from qvl_doctor.workflows import log, plan
diagnosis = log.diagnose("pod.log")
diagnosis = plan.diagnose("vllm serve Qwen/Qwen2.5-VL-7B-Instruct", gpu="L4")

Nothing is printed here, and nothing is known of the command line. Whatever is wrong with what was given is raised as
`errors.InputError` or `errors.UsageError`. docs/api.md shows the rest.
"""
