import gzip, os
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED); torch.manual_seed(SEED)


def load_images(name, n):
    f = gzip.open(os.path.join(os.environ["DATA"], "fashion-mnist", name))
    a = np.frombuffer(f.read(16 + 784 * n), dtype=np.uint8, offset=16)
    return torch.from_numpy(a.reshape(n, 784).astype("float32") / 255)


x_train = load_images("train-images-idx3-ubyte.gz", 6000)
x_test = load_images("t10k-images-idx3-ubyte.gz", 1000)

sizes = [784, 256, 128, 96, 64, 24]
act = nn.Sigmoid


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        enc, dec = [], []
        for a, b in zip(sizes[:-1], sizes[1:]):
            enc += [nn.Linear(a, b), act()]
        rev = sizes[::-1]
        for a, b in zip(rev[:-2], rev[1:-1]):
            dec += [nn.Linear(a, b), act()]
        dec += [nn.Linear(rev[-2], rev[-1]), nn.Sigmoid()]
        self.encoder, self.decoder = nn.Sequential(*enc), nn.Sequential(*dec)

    def forward(self, x):
        return self.decoder(self.encoder(x))


ae = AutoEncoder()
optimizer = torch.optim.Adam(ae.parameters(), lr=1e-3)
loss_func = nn.BCELoss()

for epoch in range(8):
    for i, x in enumerate(x_train[torch.randperm(len(x_train))].split(64)):
        loss = loss_func(ae(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        rec = ae(x_test)
        mse = ((rec - x_test) ** 2).mean().item()
        ref = ((x_train.mean(0) - x_test) ** 2).mean().item()
    print("Epoch: %d | train loss: %.4f | test mse: %.5f | mse of mean picture: %.5f" % (epoch, loss.item(), mse, ref))
