"""Denoising autoencoder for the 8x8 digits; compared with PCA of the same width."""
import os, random
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)
CODE, HIDDEN, EPOCHS, LR = 12, 256, 240, 6e-3

X = (load_digits().data / 16).astype(np.float32)
X_train, X_test = train_test_split(X, test_size=0.25, random_state=SEED)


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, HIDDEN), nn.ELU(), nn.Linear(HIDDEN, CODE))
        self.decoder = nn.Sequential(nn.Linear(CODE, HIDDEN), nn.ELU(), nn.Linear(HIDDEN, 64), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x))


dl = DataLoader(TensorDataset(torch.tensor(X_train)), batch_size=64, shuffle=True)
xt = torch.tensor(X_test)
ae = AutoEncoder()
opt = torch.optim.Adam(ae.parameters(), lr=LR)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS)
mse = nn.MSELoss()
for epoch in range(1, EPOCHS + 1):
    ae.train()
    tot = 0.0
    for (x,) in dl:
        opt.zero_grad()
        loss = mse(ae(x + 0.1 * torch.randn_like(x)), x)
        loss.backward()
        opt.step()
        tot += loss.item()
    sched.step()
    if epoch % 10 == 0:
        ae.eval()
        with torch.no_grad():
            v = mse(ae(xt), xt).item()
        print(f"epoch {epoch}: train {tot / len(dl):.5f} test {v:.5f}")

pca = PCA(CODE).fit(X_train)
ref = float(((pca.inverse_transform(pca.transform(X_test)) - X_test) ** 2).mean())
ae.eval()
with torch.no_grad():
    print(f"PCA with {CODE} components {ref:.5f}; autoencoder test mse {mse(ae(xt), xt).item():.5f}")
