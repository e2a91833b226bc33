"""The Python module of an exported language model, in layers of ``torch.nn``."""

from __future__ import annotations

from seqlm_core.interchange.pytorch_layers import indented, layers, with_imports
from seqlm_core.model.architecture import LanguageArchitecture

DOCSTRING = '''"""{title}

    model = load()
    log_probabilities, states = model(ids)  # ids (time, batch), log-probabilities (time, batch, {vocabulary})

Written by seqlm {version}. model.json has the vocabulary and the settings. "seqlm import" makes a run of this folder.
Needs torch and safetensors.
"""
'''

MODEL = '''

class Model(nn.Module):
    def __init__(self):
        super().__init__()
{parts}

    def embed(self, ids):
        return {embedding}

    def predict(self, hidden):
        """Return log-probabilities in nats (..., {vocabulary}) for what the layers made, (..., {head_size})."""
{prediction}

    def read(self, layers, ids, states=None):
        """Return what the last layer makes of each token, and the states of all layers."""
        hidden, after = self.embed(ids), []
        for number, layer in enumerate(layers):
            hidden, state = layer(hidden, None if states is None else states[number])
            after.append(state)
        return hidden, after

    def forward(self, ids, states=None):
        """Return log-probabilities of the token after each, from what is left of it, and the states to go on with."""
        hidden, after = self.read(self.layers, ids, states)
{left}
'''

BOTH_SIDES = '''
    def both_sides(self, ids, states=None):
        """Return log-probabilities of all tokens but the first, each from the text on both sides of it.

        The result is (time - 1, batch, {vocabulary}): row t is of token t + 1. At least two tokens are needed.
        """
        left, _ = self.read(self.layers, ids[:-1], states)
        right, _ = self.read(self.backward_layers, ids[1:].flip(0))
        right = right.flip(0)[1:]  # the token that is predicted is not read
        right = functional.pad(right, (0, 0, 0, 0, 0, 1))  # and after the last one there is nothing
        return self.predict({both})
'''

TAIL = '''

def load(folder=HERE):
    """Return the model with the weights of a folder."""
    model = Model()
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return model


def save(model, folder=HERE):
    """Write the weights of a model; model.json beside them says what they are."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, Path(folder) / "model.safetensors")
'''


def language_module(a: LanguageArchitecture, formula: str, title: str, version: str) -> str:
    """Return the text of the module.

    Args:
        a: the sizes of the model.
        formula: the native formula of its layers.
        title: one line that says what the model is.
        version: that of seqlm.
    """
    lowest = a.embedding_size or a.vocabulary_size
    parts = [f"self.embedding = nn.Embedding({a.vocabulary_size}, {a.embedding_size})"] if a.embedding_size else []
    for name in ["layers", "backward_layers"][: 1 + a.bidirectional]:
        parts += [f"self.{name} = nn.ModuleList([", *layers(formula, lowest, a.hidden_sizes), "])"]
    parts += _output_parts(a)
    hidden = a.hidden_sizes[-1]
    left = ["return self.predict(hidden), after"]
    if a.head_size != hidden:
        left = [f"hidden = functional.pad(hidden, (0, {hidden}))  # nothing is known from the right", *left]
    text = MODEL.format(
        vocabulary=a.vocabulary_size,
        head_size=a.head_size,
        parts=indented(parts, 2),
        embedding="self.embedding(ids)"
        if a.embedding_size
        else f"functional.one_hot(ids, {a.vocabulary_size}).float()",
        prediction=indented(_prediction(a), 2),
        left=indented(left, 2),
    )
    if a.bidirectional:
        both = "left + right" if a.adds_directions else "torch.cat([left, right], -1)"
        text += BOTH_SIDES.format(vocabulary=a.vocabulary_size, both=both)
    docstring = DOCSTRING.format(title=title, version=version, vocabulary=a.vocabulary_size)
    return with_imports(docstring, text + TAIL)


def _output_parts(a: LanguageArchitecture) -> list[str]:
    """Return the lines that make the output layer."""
    classes = a.cutoffs[0] + len(a.cutoffs) if a.cutoffs else a.vocabulary_size
    parts = [f"self.projection = nn.Linear({a.head_size}, {a.embedding_size})"] if a.has_projection else []
    if not a.tie_weights:
        parts.append(f"self.output = nn.Linear({a.head_size}, {classes})")
        if a.clusters:
            parts += ["self.clusters = nn.ModuleList(["]
            parts += [
                f"    nn.Sequential(nn.Linear({a.head_size}, {c.size}), nn.Linear({c.size}, {c.tokens})),"
                for c in a.clusters
            ]
            parts += ["])"]
        return parts
    parts.append(f"self.output_bias = nn.Parameter(torch.zeros({classes}))  # its weights are the embeddings")
    if a.clusters:
        parts.append(f"self.cluster_weight = nn.Parameter(torch.zeros({len(a.clusters)}, {a.embedding_size}))")
        sizes = ", ".join(f"nn.Parameter(torch.zeros({c.tokens}))" for c in a.clusters)
        parts.append(f"self.cluster_biases = nn.ParameterList([{sizes}])")
    return parts


def _prediction(a: LanguageArchitecture) -> list[str]:
    """Return the lines that compute the output layer."""
    lines = ["hidden = self.projection(hidden)"] if a.has_projection else []
    if not a.clusters:
        scores = (
            "functional.linear(hidden, self.embedding.weight, self.output_bias)"
            if a.tie_weights
            else "self.output(hidden)"
        )
        return [*lines, f"return {scores}.log_softmax(-1)"]
    shortlist = a.cutoffs[0]
    scores = "self.output(hidden)"
    if a.tie_weights:
        scores = "functional.linear(hidden, weight, self.output_bias)"
        lines.append(f"weight = torch.cat([self.embedding.weight[:{shortlist}], self.cluster_weight])")
    lines.append(f"first = {scores}.log_softmax(-1)  # {shortlist} tokens and {len(a.clusters)} clusters of the others")
    lines.append(f"parts = [first[..., :{shortlist}]]")
    if a.tie_weights:
        bounds = ", ".join(f"({c.first}, {c.end})" for c in a.clusters)
        lines.append(f"for number, (begin, end) in enumerate([{bounds}]):")
        lines.append("    rows, bias = self.embedding.weight[begin:end], self.cluster_biases[number]")
        lines.append("    within = functional.linear(hidden, rows, bias).log_softmax(-1)")
    else:
        lines.append("for number, cluster in enumerate(self.clusters):")
        lines.append("    within = cluster(hidden).log_softmax(-1)")
    lines.append(f"    parts.append(first[..., {shortlist} + number, None] + within)")
    return [*lines, "return torch.cat(parts, -1)"]
