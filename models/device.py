"""Where networks that have been trained compute: on a GPU that this process sees, else on the processor."""

import torch


def inference_device() -> torch.device:
    """The device; its convolutions and products are in full float32, so that answers agree with a processor's."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda")
