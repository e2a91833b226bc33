"""The conditional random field beside that of pytorch-crf, with the same weights. Runs where both are installed."""

from __future__ import annotations

import numpy as np
import pytest
from test_crf import LENGTHS, TIME, Case

torch = pytest.importorskip("torch")
torchcrf = pytest.importorskip("torchcrf")

pytestmark = pytest.mark.torch

NAMES = {"start_transitions": "chain.first", "transitions": "chain.transitions", "end_transitions": "chain.last"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_losses_gradients_and_best_sequences_are_those_of_pytorch_crf(dtype):
    case = Case(dtype)
    case.counted = np.arange(TIME)[:, None] < LENGTHS  # pytorch-crf knows no labels that do not count
    chain = case.head.label_chain()
    theirs = torchcrf.CRF(len(chain.first)).double()
    for name, array in zip(NAMES, (chain.first, chain.transitions, chain.last)):
        getattr(theirs, name).data = torch.tensor(array)
    scores = case.head.scores(case.hidden).asnumpy().astype(np.float64)
    emissions, mask = torch.tensor(scores, requires_grad=True), torch.tensor(case.counted)
    log_likelihoods = theirs(emissions, torch.tensor(case.targets, dtype=torch.long), mask=mask, reduction="none")

    tolerance = 1e-9 if dtype == "float64" else 1e-4
    losses = case.losses().asnumpy().sum(axis=0)
    np.testing.assert_allclose(losses, -log_likelihoods.detach().numpy(), rtol=tolerance, atol=tolerance)

    # The loss of a sequence is shared by its labels, of which each is weighted here by their number.
    (-log_likelihoods).sum().backward()
    total, gradients = case.gradients(np.ones(len(LENGTHS)))
    assert total == pytest.approx(-log_likelihoods.sum().item(), rel=tolerance)
    for name, own in NAMES.items():
        wanted = getattr(theirs, name).grad.numpy()
        np.testing.assert_allclose(gradients[own], wanted, rtol=tolerance, atol=10 * tolerance, err_msg=name)

    own = [scores[:length, column] for column, length in enumerate(LENGTHS)]
    assert [ids.tolist() for ids in chain.best(own)] == theirs.decode(torch.tensor(scores), mask=mask)
