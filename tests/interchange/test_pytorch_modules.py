"""The modules that go with exports, computed by PyTorch. Runs where PyTorch is installed: ``pytest -m torch``."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from random_model import RandomModel
from random_run import language_run
from sequence_models import LENGTHS, expected, log_softmax, make_run
from sequence_reference import CELLS, INPUTS, OUTPUTS, encoded, whole_batch
from test_pytorch import IDS, MODELS, both_sides_of_run, left_to_right_of_run

import seqlm_core as seqlm

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def module_in(folder):
    spec = importlib.util.spec_from_file_location("exported_model", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("cell", [*CELLS, "relu"])
def test_a_language_model_agrees_with_its_run(cell, kind, tmp_path):
    options = {"cell": "rnn", "options": (("activation", "relu"),)} if cell == "relu" else {"cell": cell}
    run = language_run(tmp_path / "run", RandomModel(**options, **MODELS[kind]))
    seqlm.export_pytorch(run, tmp_path / "out")
    model, ids = module_in(tmp_path / "out").load(), torch.tensor(IDS)[:, None]
    with torch.no_grad():
        whole, _ = model(ids)
        first, states = model(ids[:2])
        rest, _ = model(ids[2:], states)
    wanted = left_to_right_of_run(run, IDS)
    np.testing.assert_allclose(whole[:, 0].numpy(), wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(torch.cat([first, rest])[:, 0].numpy(), wanted, rtol=1e-5, atol=1e-5)
    if run.architecture.bidirectional:
        found = model.both_sides(ids)[:, 0].detach().numpy()
        np.testing.assert_allclose(found, both_sides_of_run(run, IDS), rtol=1e-5, atol=1e-5)


CASES = [
    *((cell, "embedded", "labels", {"layers": 2, "hidden_size": (3, 4)}) for cell in CELLS),
    *(("bilstm", inputs, "labels", {}) for inputs in INPUTS),
    *((cell, "values", outputs, {"layers": 2}) for cell in ("gru", "bilstm") for outputs in OUTPUTS),
    ("lstm", "spelt", "label", {}),
    ("bigru", "joined", "label", {}),
    ("bilstm", "joined", "labels", {"output_layer": "crf"}),
]


def call(model, a, batch):
    rest = [torch.tensor(np.asarray(part, np.int64 if part.dtype == np.int32 else part.dtype)) for part in batch.inputs]
    arguments = [rest.pop(0)]
    for names in (a.columns, a.vectors):
        if names:
            arguments.append([rest.pop(0) for _ in names])
    with torch.no_grad():
        return model(*arguments, *rest, lengths=torch.tensor(batch.lengths.astype(np.int64)))


@pytest.mark.parametrize(("cell", "inputs", "outputs", "settings"), CASES)
def test_a_sequence_model_agrees_with_numpy(cell, inputs, outputs, settings, tmp_path):
    run = make_run(tmp_path / "run", cell, inputs, outputs, **settings)
    seqlm.export_pytorch(run, tmp_path / "out")
    model = module_in(tmp_path / "out").load()
    batch = whole_batch(encoded(inputs, outputs, LENGTHS), time=8, columns=5)
    found = call(model, run.architecture, batch)
    for column, wanted in enumerate(expected(run, inputs, outputs)):
        own = found[column] if outputs == "label" else found[: len(wanted), column]
        wanted = wanted if outputs == "values" or run.architecture.crf else log_softmax(wanted)
        np.testing.assert_allclose(own.numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_a_conditional_random_field_labels_as_its_run_does(tmp_path):
    run = make_run(tmp_path / "run", "bilstm", "embedded", "labels", output_layer="crf")
    seqlm.export_pytorch(run, tmp_path / "out")
    model, sequences = module_in(tmp_path / "out").load(), [["a", "cab", "b", "ba"], ["abba"]]
    for sequence in sequences:
        tokens = torch.tensor(run.codecs.inputs.encode(sequence).astype(np.int64))[:, None]
        lengths = torch.tensor([len(sequence)])
        (ids,) = model.decode(model(tokens, lengths=lengths), lengths)
        assert [run.labels[i] for i in ids] == run.predict([sequence])[0]


@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_a_model_that_was_trained_on_in_torch_is_sampled_here(cell, tmp_path):
    run = language_run(tmp_path / "run", RandomModel(cell, units=(5, 6), embedding_size=6, tie_weights=True))
    seqlm.export_pytorch(run, tmp_path / "out")
    module = module_in(tmp_path / "out")
    model, ids = module.load(), torch.tensor(np.tile(IDS, 5))[:, None]
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    def loss():
        log_probabilities, _ = model(ids[:-1])
        return torch.nn.functional.nll_loss(log_probabilities[:, 0], ids[1:, 0])

    before = loss()
    before.backward()
    optimizer.step()
    module.save(model)
    back = seqlm.import_pytorch(tmp_path / "out", tmp_path / "back")
    after = -left_to_right_of_run(back, ids[:-1, 0].numpy())[np.arange(len(ids) - 1), ids[1:, 0]].mean()
    assert after == pytest.approx(loss().item(), abs=1e-5)
    assert after < before.item() - 0.01
    assert len(back.sample("", length=20, seed=1)) == 20
