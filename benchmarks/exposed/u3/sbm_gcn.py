"""Two-layer graph convolution, communities of a random graph, eight labels per community."""
import os
import random

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn as nn
import torch.nn.functional as F


def set_seed(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def block_graph(sizes, p_in, p_out, dim, rng):
    y = np.repeat(np.arange(len(sizes)), sizes)
    n = len(y)
    prob = np.where(y[:, None] == y[None], p_in, p_out)
    upper = np.triu(rng.random((n, n)) < prob, 1)
    adj = sp.csr_matrix((upper | upper.T).astype(np.float32))
    centres = rng.normal(size=(len(sizes), dim))
    feats = (.35 * centres[y] + rng.normal(size=(n, dim))).astype(np.float32)
    return adj, feats, y


def normalise(adj):
    a = adj + sp.eye(adj.shape[0], dtype=np.float32)
    d = sp.diags(1 / np.sqrt(np.asarray(a.sum(1)).ravel()))
    return torch.tensor((d @ a @ d).toarray(), dtype=torch.float32)


class GCN(nn.Module):
    def __init__(self, d_in, d_hid, k):
        super().__init__()
        self.w1 = nn.Linear(d_in, d_hid, bias=False)
        self.b1 = nn.Parameter(torch.zeros(d_hid))
        self.w2 = nn.Linear(d_hid, k, bias=False)
        self.b2 = nn.Parameter(torch.zeros(k))

    def forward(self, A, x):
        x = F.dropout(x, .5, self.training)
        h = F.relu(A @ self.w1(x) + self.b1)
        h = F.dropout(h, .5, self.training)
        return A @ self.w2(h) + self.b2


def main(hidden=32, lr=.01, epochs=150):
    seed = int(os.environ.get("SEED", 0))
    set_seed(seed)
    adj, feats, y = block_graph([300, 250, 200, 150], .035, .006, 32, np.random.default_rng(seed))
    A, x, y = normalise(adj), torch.tensor(feats), torch.tensor(y)
    labelled, rest = [], []
    for c in range(4):
        nodes = torch.where(y == c)[0]
        nodes = nodes[torch.randperm(len(nodes))]
        labelled.append(nodes[:8])
        rest.append(nodes[8:])
    labelled, rest = torch.cat(labelled), torch.cat(rest)
    print(f"{len(y)} nodes, {adj.nnz // 2} edges, {len(labelled)} labels")

    model = GCN(32, hidden, 4)
    opt = torch.optim.Adam([{"params": model.w1.parameters(), "weight_decay": 1e-2},
                            {"params": [model.b1, model.b2, model.w2.weight]}], lr=lr)
    for ep in range(1, epochs + 1):
        model.train()
        opt.zero_grad()
        loss = F.cross_entropy(model(A, x)[labelled], y[labelled])
        loss.backward()
        opt.step()
        if ep % 10 == 0:
            print(f"epoch {ep}: loss on the labelled nodes {loss.item():.4f}")
    model.eval()
    with torch.no_grad():
        pred = model(A, x).argmax(1)
    print(f"accuracy on the unlabelled nodes {(pred[rest] == y[rest]).float().mean():.4f}")


if __name__ == "__main__":
    main()
