# Which ad to show?  Only the click on the ad that was shown is seen (contextual bandit),
# so: policy gradient with a running baseline and a little entropy.
import os, random
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)

D, ADS = 4, 5
A = torch.randn(D, ADS) * 1.2
B = torch.randn(D, ADS) * 0.3
def click_rate(ctx):
    return torch.sigmoid(ctx @ A + (ctx ** 2 - 1) @ B - 1.0)

HIDDEN = 48
body = torch.nn.Linear(D, HIDDEN)
head = torch.nn.Linear(HIDDEN, ADS)
torch.nn.init.zeros_(head.weight); torch.nn.init.zeros_(head.bias)      # begin by showing all alike
policy = lambda ctx: torch.log_softmax(head(torch.tanh(body(ctx))), -1)
value = torch.nn.Sequential(torch.nn.Linear(D, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))

ROUNDS, LR = 500, 0.02
opt_p = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=LR)
opt_v = torch.optim.Adam(value.parameters(), lr=0.01)
test_ctx = torch.randn(4000, D)
rates = click_rate(test_ctx)
best, blind = rates.max(1).values.mean(), rates.mean()

for r in range(1, ROUNDS + 1):
    for g in opt_p.param_groups:
        g["lr"] = LR * (1 - r / ROUNDS * 0.95)
    ctx = torch.randn(768, D)
    logp = policy(ctx)
    shown = torch.multinomial(logp.exp().detach(), 1)
    click = torch.bernoulli(click_rate(ctx).gather(1, shown))
    base = value(ctx)
    adv = (click - base).detach()
    entropy = -(logp.exp() * logp).sum(1).mean()
    loss = -(logp.gather(1, shown) * adv).mean() - 0.003 * entropy
    opt_p.zero_grad(); loss.backward(); opt_p.step()
    v = ((base - click) ** 2).mean()
    opt_v.zero_grad(); v.backward(); opt_v.step()
    if r % 50 == 0:
        with torch.no_grad():
            got = rates.gather(1, policy(test_ctx).argmax(1, keepdim=True)).mean()
        print(f"round {r:4d}  pg loss {loss.item():+.4f}  value mse {v.item():.3f}  clicks this round {click.mean():.3f}"
              f"  share of the best on new visitors {((got - blind) / (best - blind)).item():.4f}")
