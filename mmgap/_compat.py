"""Make torchvision importable beside a CPU build of torch.

The torchvision wheel on PyPI is linked against CUDA. Beside a CPU torch its C++ operators
do not load, and ``import torchvision`` dies with ``operator torchvision::nms does not exist``,
taking transformers, sentence-transformers, timm and open_clip with it. mmgap needs torchvision's
pure Python parts only, so declaring the two missing operators is enough.
"""

from __future__ import annotations

import importlib
import sys

_OPERATORS = ("nms", "qnms")


def ensure_torchvision() -> bool:
    """Import torchvision, declaring its missing C++ operators if that is what stops it.

    Call it before the first import of transformers, sentence-transformers, timm or open_clip.
    Returns whether operators had to be declared. Every other import error goes through.
    """
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        return False
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        _declare_operators()
        importlib.import_module("torchvision")
        return True
    return False


def _declare_operators() -> None:
    import torch

    # The failed import leaves half-initialised modules behind.
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    for operator in _OPERATORS:
        torch.library.define(
            f"torchvision::{operator}",
            "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        )
