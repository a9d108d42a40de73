"""Policy gradients of the wrong sign, kernels that reach no row, trainings at chance without a score."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Categorical, Normal
from torch.nn import functional as F

from doctor.watched import found_in, named_in
from soundfit.doctor.actions import favoured, sign_of_actions
from soundfit.doctor.kernels import unreached
from soundfit.doctor.repair import repair
from soundfit.doctor.replaced import Replaced
from soundfit.doctor.script import watched_run

BANDIT = """
import torch
from torch import nn
from torch.distributions import Categorical
torch.manual_seed(0)
X = torch.randn(600, 6); best = (X @ torch.randn(6, 4)).argmax(1)
policy = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 4))
value = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 1))
opt = torch.optim.Adam([*policy.parameters(), *value.parameters()], lr=3e-3)
seen = []
for it in range(400):
    i = torch.randint(600, (64,))
    dist, v = Categorical(logits=policy(X[i])), value(X[i]).squeeze(1)
    a = dist.sample()
    r = (a == best[i]).float()
    seen.append(r.mean().item())
    weight = WEIGHT
    loss = SIGN(dist.log_prob(a) * weight).mean() + 0.5 * ((v - r) ** 2).mean() - 0.01 * dist.entropy().mean()
    opt.zero_grad(); loss.backward(); opt.step()
    if it % 40 == 39:
        print("iter", it + 1, "PRINTED", sum(seen[-40:]) / 40)
"""

KERNELS = """
import torch
torch.manual_seed(0)
X = torch.randn(300, 4) * SCALE; Y = torch.sin(X[:, 0] / SCALE) + 0.5 * X[:, 1] / SCALE
centres = X[torch.randperm(300)[:40]].clone().requires_grad_()
w = (0.1 * torch.randn(40)).requires_grad_()
b = torch.zeros(1, requires_grad=True)
opt = torch.optim.Adam([centres, w, b], lr=1e-2)
for epoch in range(30):
    for i in torch.randperm(300).split(50):
        d = ((X[i][:, None] - centres) ** 2).sum(-1)
        loss = ((torch.exp(-d / 4) @ w + b - Y[i]) ** 2).mean()
        opt.zero_grad(); loss.backward(); opt.step()
"""


def bandit(sign: str, weight: str = "(r - v).detach()", printed: str = "reward") -> str:
    return BANDIT.replace("SIGN", sign).replace("WEIGHT", weight).replace("PRINTED", printed)


@pytest.mark.parametrize("weight", ["(r - v).detach()", "r"])
def test_a_policy_gradient_of_the_wrong_sign_is_named(tmp_path: Path, weight: str) -> None:
    found = found_in(tmp_path, bandit("", weight))
    assert [d.code for d in found][:1] == ["gradient-ascent"]
    assert found[0].where is not None


@pytest.mark.parametrize(
    ("sign", "weight", "printed"),
    [
        ("-", "(r - v).detach()", "reward"),
        ("", "(1 - r) - (1 - v).detach()", "reward"),
        ("", "1 - r", "cost"),
    ],
)
def test_costs_are_minimised_and_rewards_climbed(
    tmp_path: Path, sign: str, weight: str, printed: str
) -> None:
    assert "gradient-ascent" not in named_in(tmp_path, bandit(sign, weight, printed))


@pytest.mark.usefixtures("no_blind_search")
def test_its_sign_is_turned_by_the_repair(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(bandit(""))
    status, found = watched_run(script, [], seconds=8.0)
    assert status == 0
    made = repair(script, [], found)
    assert made["accepted"], made
    assert made["change"] == {"favoured": True}
    assert made["after"] > made["before"] + 0.3


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["categorical", "bernoulli", "normal", "cross_entropy", "ratio"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_the_sign_is_that_of_the_step(kind: str, turned: bool, early: bool, seed: int) -> None:
    torch.manual_seed(seed)
    z = torch.randn(6, 3, requires_grad=True)
    weights = torch.rand(6) + torch.arange(6) / 6
    if kind == "bernoulli":
        chosen = Bernoulli(logits=z[:, 0]).log_prob(torch.randint(2, (6,)).float())
    elif kind == "normal":
        chosen = Normal(z[:, 0], 1.0).log_prob(torch.randn(6))
    elif kind == "cross_entropy":
        chosen = -F.cross_entropy(z, torch.randint(3, (6,)), reduction="none")
    else:
        chosen = Categorical(logits=z).log_prob(torch.randint(3, (6,)))
    if kind == "ratio":
        chosen = torch.exp(chosen - chosen.detach())
    sign = -1.0 if turned else 1.0
    loss = ((sign * chosen) * weights).mean() if early else sign * (weights * chosen).mean()
    found = sign_of_actions(loss + 0.5 * (z[:, 1] ** 2).mean())
    assert found is not None
    assert found[0] == sign


def test_favoured_turns_the_likelihood_and_nothing_else() -> None:
    z, v = torch.randn(5, 3, requires_grad=True), torch.randn(5, requires_grad=True)
    a, weights = torch.randint(3, (5,)), torch.arange(5.0) - 1.5

    def loss(sign: float) -> torch.Tensor:
        chosen = sign * (Categorical(logits=z).log_prob(a) * weights).mean()
        return chosen + (v**2).mean() - 0.1 * Categorical(logits=z).entropy().mean()

    loss(-1.0).backward()
    assert z.grad is not None
    assert v.grad is not None
    wanted = z.grad.clone(), v.grad.clone()
    for sign in (1.0, -1.0):
        z.grad = v.grad = None
        replaced = Replaced()
        favoured(replaced)
        try:
            loss(sign).backward()
        finally:
            replaced.restore()
        torch.testing.assert_close((z.grad, v.grad), wanted)


def test_kernels_that_reach_no_row_are_named(tmp_path: Path) -> None:
    assert named_in(tmp_path, KERNELS.replace("SCALE", "30.0"))[:1] == ["input-scale"]
    assert "input-scale" not in named_in(tmp_path, KERNELS.replace("SCALE", "1.0"))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(0, 9), st.booleans())
def test_rows_beyond_reach_are_counted(near: int, far: int, mapped: bool) -> None:
    w = torch.ones(4, requires_grad=True)
    d = torch.cat([torch.full((near, 4), 1.0), torch.full((far, 4), 50.0)])
    kernels = torch.exp(-d * w)
    out = kernels @ w if mapped else kernels.sum(1) * w[0]
    assert unreached(out.sum()) == (pytest.approx(far / (near + far)) if mapped else None)
    assert unreached((kernels / (kernels @ (w * 2))[:, None]).sum()) is None  # scaled by what is computed


GRAPH = """
import torch
from torch import nn
import torch.nn.functional as F
torch.manual_seed(0)
Y = torch.randint(4, (300,))
A = ((torch.rand(300, 300) < torch.where(Y[:, None] == Y, 0.06, 0.006)).float() + torch.eye(300)).clamp(max=1)
A = A / A.sum(1, keepdim=True)
X = torch.randn(4, 12)[Y] * 0.5 + torch.randn(300, 12)
class Net(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.first, self.last = nn.Linear(12, 32), nn.Linear(32, 4)
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(depth))
    def forward(self, h):
        h = F.relu(self.first(h))
        for layer in self.layers:
            h = F.relu(A @ layer(h))
        return self.last(h)
net = Net(DEPTH); train = torch.randperm(300)[:150]
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
for epoch in range(80):
    loss = F.cross_entropy(net(X)[train], Y[train])
    opt.zero_grad(); loss.backward(); opt.step()
print("accuracy", (net(X).argmax(1) == Y).float().mean().item())
"""


def test_a_deep_plain_net_that_stays_at_chance_is_named_without_a_score(tmp_path: Path) -> None:
    found = named_in(tmp_path, GRAPH.replace("DEPTH", "14"))
    assert {"vanishing-gradient", "depth-without-residual"} & set(found[:2])
    assert named_in(tmp_path, GRAPH.replace("DEPTH", "2")) == []


VAE = """
import torch
from torch import nn
torch.manual_seed(0)
X = torch.randn(900, 4) @ torch.randn(4, 48) + 0.05 * torch.randn(900, 48); X = X / X.std()
class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(48, 64), nn.SiLU(), nn.Linear(64, 8))
        self.dec = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 48))
    def forward(self, x):
        mu, logvar = self.enc(x).chunk(2, 1)
        return self.dec(mu + torch.randn_like(mu) * (0.5 * logvar).exp()), mu, logvar
vae = Vae()
opt = torch.optim.Adam(vae.parameters(), lr=3e-3)
for epoch in range(30):
    for i in torch.randperm(900).split(60):
        out, mu, logvar = vae(X[i])
        rec = ERROR / 2
        kl = -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), 1).mean()
        loss = rec + kl
        opt.zero_grad(); loss.backward(); opt.step()
"""


def test_an_error_averaged_by_hand_beside_a_sum_is_named(tmp_path: Path) -> None:
    assert named_in(tmp_path, VAE.replace("ERROR", "((out - X[i]) ** 2).mean()"))[:1] == ["loss-reduction"]
    assert named_in(tmp_path, VAE.replace("ERROR", "((out - X[i]) ** 2).sum(1).mean()")) == []
