"""The names of a model's parameters as ``torch.nn`` layers call them. The arrays are the same: gates in the same order,
two biases in each layer, weights ``(outputs, inputs)``."""

from __future__ import annotations

import re

LAYER = re.compile(r"(?:(input\.)?encoder\.)?(forward|backward)_stack\.(\d+)\.(\w+)")
OF_LAYER = {"i2h_weight": "weight_ih", "h2h_weight": "weight_hh", "i2h_bias": "bias_ih", "h2h_bias": "bias_hh"}

OTHERS = (
    (r"input\.(?:tokens\.)?weight", "embedding.weight"),
    (r"input\.columns\.(\d+)\.weight", r"column_embeddings.\1.weight"),
    (r"input\.characters\.weight", "character_embedding.weight"),
    (r"head\.(?:scores\.)?weight", "output.weight"),
    (r"head\.projection_(weight|bias)", r"projection.\1"),
    (r"head\.cluster_weight", "cluster_weight"),
    (r"head\.cluster(\d+)\.projection_(weight|bias)", r"clusters.\1.0.\2"),
    (r"head\.cluster(\d+)\.weight", r"clusters.\1.1.weight"),
    (r"head\.chain\.(first|transitions|last)", r"\1"),
)


def torch_name(name: str, tied: bool = False) -> str:
    """Return what a parameter is called in the state dict.

    Args:
        name: its name in a checkpoint of seqlm.
        tied: whether the embeddings are the output weights. Then the biases of the output stand by themselves.

    Raises:
        ValueError: the parameter is none of a layer with a native formula, or of an input or an output of seqlm.
    """
    layer = LAYER.fullmatch(name)
    if layer is not None:
        of_characters, direction, number, part = layer.groups()
        if part in OF_LAYER:
            return _name_of_layer(name, bool(of_characters), direction == "backward", number, OF_LAYER[part])
    of_cluster = re.fullmatch(r"head\.cluster(\d+)\.bias", name)
    if of_cluster is not None:
        return f"cluster_biases.{of_cluster[1]}" if tied else f"clusters.{of_cluster[1]}.1.bias"
    if name in ("head.bias", "head.scores.bias"):
        return "output_bias" if tied else "output.bias"
    for pattern, replacement in OTHERS:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    raise ValueError(f"there is no layer of PyTorch for the parameter {name!r}")


def _name_of_layer(name: str, of_characters: bool, backward: bool, number: str, part: str) -> str:
    if of_characters:
        return f"character_layer.{part}_l0{'_reverse' if backward else ''}"
    if name.startswith("encoder."):
        return f"layers.{number}.{part}_l0{'_reverse' if backward else ''}"
    # The directions of a language model are stacks of their own.
    return f"{'backward_layers' if backward else 'layers'}.{number}.{part}_l0"
