"""Where a model runs, and in which number format."""

from __future__ import annotations

from mmgap.errors import EncoderError

DTYPES = ("float32", "bfloat16", "float16")
"""Number formats that a model may run in."""


def pick_device(device: str = "auto") -> str:
    """Return the device to run on: ``"auto"`` takes cuda, then mps, then cpu.

    Examples
    --------
    >>> pick_device("cpu")
    'cpu'
    """
    if device != "auto":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def pick_dtype(dtype: str, device: str, *, name: str = "the model", float16: bool = True) -> str:
    """Return the number format that a model runs in.

    Parameters
    ----------
    dtype : str
        One of ``DTYPES``, or ``"auto"``: bfloat16 on a GPU that has it, else float16 on a GPU,
        else float32.
    device : str
    name : str
        The model, for messages.
    float16 : bool, default True
        ``False`` for a model whose activations leave the range of float16.

    Raises
    ------
    EncoderError
        If there is no such format, or the model cannot be run in it.

    Examples
    --------
    >>> pick_dtype("auto", "cpu"), pick_dtype("float16", "cuda")
    ('float32', 'float16')
    >>> pick_dtype("float16", "cuda", name="demo", float16=False)
    Traceback (most recent call last):
    mmgap.errors.EncoderError: demo gives wrong vectors in float16; expected bfloat16 or float32
    """
    if dtype == "auto":
        if not device.startswith("cuda"):
            return "float32"
        import torch

        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16"
        return "float16" if float16 else "float32"
    if dtype not in DTYPES:
        msg = f"dtype is {dtype!r}; expected auto, {', '.join(DTYPES)}"
        raise EncoderError(msg)
    if dtype == "float16" and not float16:
        msg = f"{name} gives wrong vectors in float16; expected bfloat16 or float32"
        raise EncoderError(msg)
    return dtype
