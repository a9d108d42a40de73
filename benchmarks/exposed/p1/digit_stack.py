# 8x8 digit images -> class, several hidden layers
import os, random
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# dimension of the hidden layers
dim = 64
n_hidden = 5


class Net(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        sizes = [n_in] + [dim] * n_hidden
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:]))
        self.out = nn.Linear(dim, n_out)

    def forward(self, x):
        for layer in self.hidden:
            x = torch.sigmoid(layer(x))
        return self.out(x)


X, y = load_digits(return_X_y=True)
X = (X / 16.0).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=SEED, stratify=y)
X_train, X_test = torch.from_numpy(X_train), torch.from_numpy(X_test)
y_train, y_test = torch.from_numpy(y_train), torch.from_numpy(y_test)

model = Net(64, 10)
opt = torch.optim.SGD(model.parameters(), lr=0.1)

batch_size = 50
for epoch in range(100):
    order = torch.randperm(len(X_train))
    for k in range(0, len(order), batch_size):
        idx = order[k:k + batch_size]
        opt.zero_grad()
        loss = F.cross_entropy(model(X_train[idx]), y_train[idx])
        loss.backward()
        opt.step()
    if epoch % 10 == 9:
        with torch.no_grad():
            out = model(X_train)
            print("epoch", epoch + 1, "loss", round(F.cross_entropy(out, y_train).item(), 4),
                  "acc", round((out.argmax(1) == y_train).float().mean().item(), 4))

# evaluate the model
with torch.no_grad():
    scores = (model(X_test).argmax(1) == y_test).float().mean().item()
print("%s: %.2f%%" % ("acc", scores * 100))
