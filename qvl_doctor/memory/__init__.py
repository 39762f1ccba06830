"""What vLLM will do with a GPU's memory, computed from the model's shape, the settings and the release.

Nothing here reads logs or prints. `shape` and `tensors` describe the model, `settings` the command and the release's
defaults; `weights`, `kv`, `activation`, `encoder` and `vision` are the arithmetic; `budget.plan` puts them together.
docs/memory-model.md says where each formula comes from.
"""
