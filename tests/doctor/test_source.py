"""Test rows that choose: each script and its twin that chooses by validation rows or chooses nothing."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from soundfit.doctor.source import selection_by_test

CHECKPOINT = """
for epoch in range(3):
    test_acc = evaluate(model, test_loader)
    if test_acc > best_acc:
        best_acc = test_acc
        torch.save(model.state_dict(), 'm.pt')
"""
LOOP = """
def test(epoch):
    global best_acc
    for x, y in testloader:
        correct += (net(x).argmax(1) == y).sum().item()
    acc = 100 * correct / total
    if acc > best_acc:
        state = {'net': net.state_dict()}
        best_acc = acc
"""
STOP = """
while True:
    l = lossf(net(xtest), ytest).item()
    if l < lowest: lowest = l; wait = 0
    else:
        wait += 1
        if wait > 3: break
"""
METHOD = """
class T:
    def fit(self):
        s = self.score(self.test_dl)
        if s > self.best:
            self.best = s
            self.kept = copy.deepcopy(self.m)
"""
HELPER = """
def rate():
    return (net(X_te).argmax(1) == y_te).float().mean()
score = rate()
if best < score:
    best, keep = score, copy.deepcopy(net.state_dict())
"""
PAIR = """
tr, now = F.cross_entropy(net(X), y).item(), F.cross_entropy(net(X_te), y_te).item()
if now < best - 1e-4:
    best, keep = now, copy.deepcopy(net.state_dict())
"""
FAULTY = {
    "checkpoint": (CHECKPOINT, 4, "checkpoint"), "loop": (LOOP, 7, "checkpoint"), "stop": (STOP, 4, "time to stop"),
    "method": (METHOD, 5, "checkpoint"), "helper": (HELPER, 5, "checkpoint"), "pair": (PAIR, 3, "checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTY)
def test_a_choice_by_test_rows_is_found(name: str) -> None:
    text, line, chosen = FAULTY[name]
    found = selection_by_test(text)
    assert found is not None
    assert (found.line, found.chosen) == (line, chosen)


@pytest.mark.parametrize("name", FAULTY)
def test_the_twin_that_chooses_by_validation_rows_is_left_alone(name: str) -> None:
    text = FAULTY[name][0]
    for old, new in (("test", "val"), ("_te", "_va")):
        text = text.replace(old, new)
    assert selection_by_test(text) is None


def test_a_best_test_score_that_chooses_nothing_is_left_alone() -> None:
    text = "for e in range(9):\n    acc = ev(model, test_loader)\n    if acc > best: best = acc\n    print(best)\n"
    assert selection_by_test(text) is None
    assert selection_by_test("x = = 3") is None


def test_names_of_what_splits_are_no_test_rows() -> None:
    text = """
X, Xte, y, yte = train_test_split(X, y, test_size=0.25)
Xtr, Xva, ytr, yva = train_test_split(X, y, test_size=0.25)
tr, va = F.cross_entropy(net(Xtr), ytr).item(), F.cross_entropy(net(Xva), yva).item()
if va < best - 1e-4:
    best, keep = va, copy.deepcopy(net.state_dict())
"""
    assert selection_by_test(text) is None
