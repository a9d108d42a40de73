#!/usr/bin/env python
# two-hidden-layer perceptron, port of a TF1 graph (placeholders -> arguments)
import gzip, os, random
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

FLAGS = SimpleNamespace(hidden1=128, hidden2=64, keep_prob=0.9, lr=1e-3, epochs=12, batch=100)


def read_idx(path, header):
    with gzip.open(path, "rb") as fh:
        fh.read(header)
        return np.frombuffer(fh.read(), dtype=np.uint8)


def load(n, seed):
    d = os.environ["DATA"] + "/fashion-mnist/"
    X = read_idx(d + "train-images-idx3-ubyte.gz", 16).reshape(-1, 784)
    y = read_idx(d + "train-labels-idx1-ubyte.gz", 8)
    pick = np.random.default_rng(seed).permutation(60000)[:n]
    Xt = read_idx(d + "t10k-images-idx3-ubyte.gz", 16).reshape(-1, 784)
    yt = read_idx(d + "t10k-labels-idx1-ubyte.gz", 8)
    to = lambda a: torch.tensor(a / 255.0, dtype=torch.float32)
    return to(X[pick]), torch.tensor(y[pick].astype("int64")), to(Xt), torch.tensor(yt.astype("int64"))


def weight(shape):
    return torch.nn.init.xavier_uniform_(torch.empty(shape)).requires_grad_()


def build():
    sizes = [784, FLAGS.hidden1, FLAGS.hidden2, 10]
    return [(weight((i, o)), torch.zeros(o, requires_grad=True)) for i, o in zip(sizes, sizes[1:])]


def inference(params, x, training):
    for w, b in params[:-1]:
        x = F.relu(x @ w + b)
        x = F.dropout(x, 1 - FLAGS.keep_prob, training=training)
    w, b = params[-1]
    return x @ w + b


def run():
    seed = int(os.environ.get("SEED", 0))
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    X, y, Xt, yt = load(12000, seed)
    params = build()
    train_op = torch.optim.Adam([p for pair in params for p in pair], lr=FLAGS.lr)
    step = 0
    for epoch in range(FLAGS.epochs):
        for idx in torch.randperm(len(X)).split(FLAGS.batch):
            loss = F.cross_entropy(inference(params, X[idx], True), y[idx])
            train_op.zero_grad()
            loss.backward()
            train_op.step()
            step += 1
        with torch.no_grad():
            acc = (inference(params, Xt, False).argmax(1) == yt).float().mean().item()
        print("step %5d  batch loss %.4f  test accuracy %.4f" % (step, loss.item(), acc))


if __name__ == "__main__":
    run()
