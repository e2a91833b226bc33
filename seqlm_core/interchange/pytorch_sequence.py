"""The Python module of an exported sequence model, in layers of ``torch.nn``."""

from __future__ import annotations

from seqlm_core.interchange.pytorch_language import TAIL
from seqlm_core.interchange.pytorch_layers import indented, layer, layers, with_imports
from seqlm_core.model.architecture import SequenceArchitecture

DOCSTRING = '''"""{title}

    model = load()
    {called} = model({arguments}, lengths=lengths)

Sequences are side by side, padded at their ends; lengths (batch,) says how long each is.
{shapes}

Written by seqlm {version}. model.json has what inputs and outputs mean. "seqlm import" makes a run of this folder.
Needs torch and safetensors.
"""
'''

MODEL = '''

def read(layer, inputs, lengths):
    """Return the outputs (time, batch, size) of a layer, and those after whole sequences (batch, size)."""
    packed, last = layer(pack_padded_sequence(inputs, lengths.cpu(), enforce_sorted=False))
    outputs, _ = pad_packed_sequence(packed, total_length=len(inputs))
    last = last[0] if isinstance(last, tuple) else last
    return outputs, torch.cat(list(last), -1)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
{parts}

    def forward(self, {arguments}, lengths):
{forward}
'''

DECODE = '''
    def decode(self, scores, lengths):
        """Return the best sequence of labels of each sequence, as lists of ids (Viterbi)."""
        found = []
        for column, length in enumerate(lengths.tolist()):
            rows = scores[:length, column]
            total, before = self.first + rows[0], []
            for row in rows[1:]:
                highest, places = (total[:, None] + self.transitions).max(0)
                before.append(places)
                total = highest + row
            path = [int((total + self.last).argmax())]
            for places in reversed(before):
                path.append(int(places[path[-1]]))
            found.append(path[::-1])
        return found
'''

SHAPES = {
    "tokens": "tokens are ids (time, batch)",
    "columns": "columns a list of the ids of each further column (time, batch), shapes being the last",
    "vectors": "vectors a list of the vectors of each source (time, batch, size)",
    "characters": "characters are ids (time, batch, 16), and character_counts (time, batch), at least 1, says how many",
    "values": "values are (time, batch, channels), standardized as model.json says: (value - mean) / scale",
}


def sequence_module(a: SequenceArchitecture, formula: str, char_formula: str | None, title: str, version: str) -> str:
    """Return the text of the module.

    Args:
        a: the sizes and kinds of the model.
        formula: the native formula of its layers.
        char_formula: that of the layer that reads characters; None if none are read.
        title: one line that says what the model is.
        version: that of seqlm.
    """
    arguments = ["values"] if a.inputs == "values" else ["tokens"]
    arguments += ["columns"] if a.columns else []
    arguments += ["vectors"] if a.vectors else []
    shapes = [SHAPES[name] for name in arguments]
    if a.characters:
        arguments += ["characters", "character_counts"]
        shapes.append(SHAPES["characters"])
    outputs = "values" if a.outputs == "values" else "scores" if a.crf else "log_probabilities"
    places = "batch" if a.outputs == "label" else "time, batch"
    told = {
        "values": f"The result is ({places}, {a.output_size}), standardized too: value * scale + mean.",
        "scores": f"The result is ({places}, {a.output_size}): scores in nats, of which decode() makes labels.",
        "log_probabilities": f"The result is ({places}, {a.output_size}), in nats.",
    }
    docstring = DOCSTRING.format(
        title=title,
        version=version,
        called=outputs,
        arguments=", ".join(arguments),
        shapes="\n".join([*(f"- {shape}" for shape in shapes), told[outputs]]),
    )
    text = MODEL.format(
        arguments=", ".join(arguments),
        parts=indented(_parts(a, formula, char_formula), 2),
        forward=indented(_forward(a), 2),
    )
    return with_imports(docstring, text + (DECODE if a.crf else "") + TAIL)


def _parts(a: SequenceArchitecture, formula: str, char_formula: str | None) -> list[str]:
    parts = []
    lowest = a.input_size
    if a.inputs == "tokens":
        if a.embedding_size:
            parts.append(f"self.embedding = nn.Embedding({a.input_size}, {a.embedding_size})")
        lowest = a.embedding_size or a.input_size
        if a.columns:
            size = a.column_embedding_size
            made = ", ".join(f"nn.Embedding({entries}, {size})" for entries in a.columns)
            parts.append(f"self.column_embeddings = nn.ModuleList([{made}])")
            lowest += size * len(a.columns)
        lowest += sum(a.vectors[1:] if a.tuned_vectors else a.vectors)
        if char_formula is not None and a.characters:
            size = a.char_hidden_size
            parts.append(f"self.character_embedding = nn.Embedding({a.characters}, {size})")
            parts.append(f"self.character_layer = {layer(char_formula, size, size, a.char_bidirectional)}")
            lowest += size * (1 + a.char_bidirectional)
    parts += ["self.layers = nn.ModuleList([", *layers(formula, lowest, a.hidden_sizes, a.bidirectional), "])"]
    parts.append(f"self.output = nn.Linear({a.hidden_sizes[-1] * (1 + a.bidirectional)}, {a.output_size})")
    if a.crf:
        parts.append("# The scores of labels at the beginning, of each after another, and at the end.")
        parts.append(f"self.first = nn.Parameter(torch.zeros({a.output_size}))")
        parts.append(f"self.transitions = nn.Parameter(torch.zeros({a.output_size}, {a.output_size}))")
        parts.append(f"self.last = nn.Parameter(torch.zeros({a.output_size}))")
    return parts


def _forward(a: SequenceArchitecture) -> list[str]:
    if a.inputs == "values":
        lines = ["hidden = values"]
    else:
        tokens = "self.embedding(tokens)" if a.embedding_size else f"functional.one_hot(tokens, {a.input_size}).float()"
        lines = [f"parts = [{tokens}{' + vectors[0]' if a.tuned_vectors else ''}]"]
        if a.columns:
            lines.append("parts += [embed(ids) for embed, ids in zip(self.column_embeddings, columns)]")
        if len(a.vectors) > a.tuned_vectors:
            lines.append(f"parts += vectors{'[1:]' if a.tuned_vectors else ''}")
        if a.characters:
            lines.append("spelt = self.character_embedding(characters.flatten(0, 1).T)  # (16, time * batch, size)")
            lines.append("_, spelt = read(self.character_layer, spelt, character_counts.flatten())")
            lines.append("parts.append(spelt.unflatten(0, tokens.shape))")
        lines.append("hidden = torch.cat(parts, -1)")
        if len(lines) == 2:
            lines = [f"hidden = {tokens}{' + vectors[0]' if a.tuned_vectors else ''}"]
    hidden, after = ("last", "last") if a.outputs == "label" else ("hidden", "_")
    lines += ["for layer in self.layers:", f"    hidden, {after} = read(layer, hidden, lengths)"]
    normalized = "" if a.outputs == "values" or a.crf else ".log_softmax(-1)"
    return [*lines, f"return self.output({hidden}){normalized}"]
