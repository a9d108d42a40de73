"""Hourly bike rentals, MLP with a custom Huber loss."""
import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)


class Huber(torch.autograd.Function):
    @staticmethod
    def forward(ctx, pred, target, delta):
        diff = pred - target
        ctx.save_for_backward(diff)
        ctx.delta = delta
        a = diff.abs()
        return torch.where(a <= delta, 0.5 * diff ** 2, delta * (a - 0.5 * delta)).mean()

    @staticmethod
    def backward(ctx, grad_output):
        diff, = ctx.saved_tensors
        grad = diff.clamp(-ctx.delta, ctx.delta)
        return grad_output * grad / diff.numel(), None, None


class Regressor(nn.Module):
    def __init__(self, d_in, widths=(64, 32)):
        super().__init__()
        layers, d = [], d_in
        for w in widths:
            layers += [nn.Linear(d, w), nn.ReLU()]
            d = w
        self.net = nn.Sequential(*layers, nn.Linear(d, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


def prepare():
    df = pd.read_csv(os.path.join(os.environ["DATA"], "bikeshare.csv"))
    dummies = pd.get_dummies(df[["hr", "mnth", "weekday", "weathersit", "season"]].astype(str), dtype=np.float32)
    num = df[["temp", "atemp", "hum", "windspeed", "workingday", "holiday"]].astype(np.float32)
    y = np.sqrt(df["bikers"].to_numpy(np.float32))
    idx = np.random.permutation(len(df))
    tr, te = idx[:6500], idx[6500:]
    num = (num - num.iloc[tr].mean()) / num.iloc[tr].std()
    x = torch.tensor(np.hstack([num.to_numpy(), dummies.to_numpy()]))
    y = torch.tensor((y - y[tr].mean()) / y[tr].std())
    return x[tr], y[tr], x[te], y[te]


def main(epochs=14, batch_size=64, lr=0.03):
    x_tr, y_tr, x_te, y_te = prepare()
    model = Regressor(x_tr.shape[1])
    opt = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for b in torch.randperm(len(x_tr)).split(batch_size):
            opt.zero_grad()
            loss = Huber.apply(model(x_tr[b]), y_tr[b], 1.0)
            loss.backward()
            opt.step()
            total += loss.item() * len(b)
        model.eval()
        with torch.no_grad():
            err = model(x_te) - y_te
        print(f"epoch {epoch:2d}  huber {total / len(x_tr):.4f}  test R2 {1 - (err ** 2).mean().item() / y_te.var().item():.3f}")


if __name__ == "__main__":
    main()
