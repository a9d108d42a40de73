import os
import numpy as np
import pandas as pd
import torch
import torch.nn as nn
import torch.optim as optim
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))
np.random.seed(SEED)
torch.manual_seed(SEED)

data = pd.read_csv(os.path.join(os.environ["DATA"], "credit_data.csv"))
labels = (data["Status"] == "good").astype("float32")
data = data.drop(columns="Status")
numeric = data.select_dtypes("number").columns
other = [c for c in data.columns if c not in numeric]
prep = make_column_transformer(
    (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
    (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)), other),
)

tr_x, te_x, tr_y, te_y = train_test_split(data, labels, test_size=0.2, random_state=SEED)
tr_x = torch.tensor(prep.fit_transform(tr_x), dtype=torch.float32)
te_x = torch.tensor(prep.transform(te_x), dtype=torch.float32)
tr_y = torch.tensor(tr_y.values).view(-1, 1)
te_y = torch.tensor(te_y.values).view(-1, 1)

dl = DataLoader(TensorDataset(tr_x, tr_y), batch_size=50, shuffle=True)

net = nn.Sequential()
net.add_module("dense_1", nn.Linear(tr_x.shape[1], 32))
net.add_module("act_1", nn.ReLU())
net.add_module("dropout", nn.Dropout(0.2))
net.add_module("dense_2", nn.Linear(32, 16))
net.add_module("act_2", nn.ReLU())
net.add_module("dense_3", nn.Linear(16, 1))
net.add_module("act_3", nn.Softmax(dim=1))
print(net)

opt = optim.Adam(net.parameters())
bce = nn.BCELoss()

for epoch in range(25):
    net.train()
    losses, acc = [], []
    for xb, yb in dl:
        opt.zero_grad()
        p = net(xb)
        loss = bce(p, yb)
        loss.backward()
        opt.step()
        losses.append(loss.item())
        acc.append(((p > 0.5).float() == yb).float().mean().item())
    net.eval()
    with torch.no_grad():
        p = net(te_x)
        val_loss = bce(p, te_y).item()
        val_acc = ((p > 0.5).float() == te_y).float().mean().item()
    print("Epoch %d/25 - loss: %.4f - acc: %.4f - val_loss: %.4f - val_acc: %.4f" % (epoch + 1, np.mean(losses), np.mean(acc), val_loss, val_acc))

print("balanced accuracy", round(balanced_accuracy_score(te_y.numpy().ravel(), (p > 0.5).numpy().ravel()), 4))
