"""What only some platforms have, for tests that no advice names another one's."""

from __future__ import annotations

#: Tools, variables, devices, images and hardware that only some platforms have.
WORDS = {
    r"nvidia-smi|nvidia\.com/gpu|--gpus\b|CUDA_VISIBLE_DEVICES|PYTORCH_CUDA_ALLOC|CUDA_HOME|\bnvcc\b|CUDA toolkit": {
        "cuda"
    },
    r"\bNVIDIA\b|\bNVML\b|\bNVLink\b|\bMIG\b|[Ff]abric [Mm]anager|\bcu1[123]\d\b|CUDA_DEVICE_ORDER|\bTORCH_CUDA": {
        "cuda"
    },
    r"[Ff]lash-?[Ii]nfer|FLASHINFER|\bFLASH_ATTN\b|\bptxas\b|\bAmpere\b|\bHopper\b|\bBlackwell\b|compute capability": {
        "cuda"
    },
    r"[Xx][Ff]ormers|XFORMERS|计算能力|vllm/vllm-openai(?!-)|qwenllm/": {"cuda"},
    r"\bNCCL\w*": {"cuda", "rocm"},
    r"rocm-smi|amd-smi|HIP_VISIBLE|/dev/kfd|\brocm/vllm|amd\.com/gpu|ROCR_VISIBLE|PYTORCH_HIP|AITER": {"rocm"},
    r"npu-smi|ASCEND_\w+|/dev/davinci|\bCANN\b|\bHCCL\w*|huawei\.com|PYTORCH_NPU|ascend-toolkit|vllm-ascend": {
        "ascend"
    },
    r"xpu-smi|ZE_AFFINITY|oneAPI|gpu\.intel\.com|ONEAPI_|\bCCL_": {"xpu"},
    r"hl-smi|HABANA_\w+|habana\.ai|--runtime=habana|PT_HPU|vllm-gaudi": {"gaudi"},
    r"tpu-info|TPU_\w+|google\.com/tpu|vllm-tpu|\blibtpu\b": {"tpu"},
    r"neuron-ls|neuron-top|NEURON_\w+|aws\.amazon\.com/neuron": {"neuron"},
    r"VLLM_CPU_\w+|vllm-openai-cpu": {"cpu"},
}
