# softmax regression written out by hand
import gzip
import os
import random
import numpy as np
import torch

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def read_set(kind):
    d = os.path.join(os.environ["DATA"], "fashion-mnist")
    with gzip.open(f"{d}/{kind}-images-idx3-ubyte.gz") as fh:
        images = np.frombuffer(fh.read(), dtype=np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(f"{d}/{kind}-labels-idx1-ubyte.gz") as fh:
        labels = np.frombuffer(fh.read(), dtype=np.uint8, offset=8)
    return torch.tensor(images, dtype=torch.float32) / 255, torch.nn.functional.one_hot(torch.tensor(labels).long(), 10).float()


x_train, y_train = read_set("train")
x_test, y_test = read_set("t10k")

# create the model
W = torch.nn.init.trunc_normal_(torch.empty(784, 10)).requires_grad_()
b = torch.zeros(10, requires_grad=True)
optimizer = torch.optim.SGD([W, b], lr=0.01)

batch = 100
for step in range(4001):
    rows = torch.randint(0, len(x_train), (batch,))
    xs, ys = x_train[rows], y_train[rows]
    logits = xs @ W + b
    y = torch.softmax(logits, dim=1)
    cross_entropy = -(ys * torch.log(y)).sum()
    optimizer.zero_grad()
    cross_entropy.backward()
    optimizer.step()
    if step % 1000 == 0:
        with torch.no_grad():
            correct = (x_test @ W + b).argmax(1) == y_test.argmax(1)
        print("step %5d  loss %.3f  test accuracy %.4f" % (step, cross_entropy.item() / batch, correct.float().mean()))
