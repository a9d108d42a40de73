import os
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

data = load_breast_cancer()
X_tr, X_te, y_tr, y_te = train_test_split(data.data, data.target, test_size=0.3, stratify=data.target, random_state=SEED)
mm = MinMaxScaler().fit(X_tr)
X_tr = torch.tensor(mm.transform(X_tr), dtype=torch.float32)
X_te = torch.tensor(mm.transform(X_te), dtype=torch.float32)
y_tr = torch.tensor(y_tr, dtype=torch.float32).reshape(-1, 1)
y_te = torch.tensor(y_te, dtype=torch.float32).reshape(-1, 1)

sizes = [30, 64, 32, 1]


class Layer(torch.nn.Module):
    def __init__(self, fan_in, fan_out):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.rand(fan_in, fan_out))
        self.bias = torch.nn.Parameter(torch.zeros(fan_out))

    def forward(self, x):
        return x @ self.weight + self.bias


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = Layer(sizes[0], sizes[1])
        self.l2 = Layer(sizes[1], sizes[2])
        self.l3 = Layer(sizes[2], sizes[3])

    def forward(self, x):
        a1 = torch.sigmoid(self.l1(x))
        a2 = torch.sigmoid(self.l2(a1))
        return self.l3(a2)


net = Network()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
bce = torch.nn.BCEWithLogitsLoss()

for epoch in range(150):
    perm = torch.randperm(len(X_tr))
    for i in range(0, len(perm), 32):
        j = perm[i:i + 32]
        opt.zero_grad()
        loss = bce(net(X_tr[j]), y_tr[j])
        loss.backward()
        opt.step()
    if epoch % 15 == 14:
        with torch.no_grad():
            tr = ((net(X_tr) > 0).float() == y_tr).float().mean()
            te = ((net(X_te) > 0).float() == y_te).float().mean()
            print("Epoch {}: loss {:.4f}, train acc {:.4f}, test acc {:.4f}".format(epoch + 1, bce(net(X_tr), y_tr).item(), tr.item(), te.item()))
