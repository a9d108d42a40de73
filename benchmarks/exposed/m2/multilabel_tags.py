import os, random
import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import TensorDataset, DataLoader
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score, label_ranking_average_precision_score

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# bag-of-words documents, 12 tags, two or three per document
X, Y = make_multilabel_classification(n_samples=3000, n_features=60, n_classes=12, n_labels=3, length=70, random_state=SEED)
X = np.log1p(X).astype("float32")
Y = Y.astype("float32")
mean = X[:2200].mean(0)
X -= mean
print("tag frequencies", Y.mean(0).round(2))

train = DataLoader(TensorDataset(torch.tensor(X[:2200]), torch.tensor(Y[:2200])), batch_size=50, shuffle=True)
Xt, Yt = torch.tensor(X[2200:]), Y[2200:]


class Tagger(nn.Module):
    def __init__(self, n_in, n_tags, width=128, p=0.5):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_in, width), nn.LayerNorm(width), nn.GELU(), nn.Dropout(p))
        self.head = nn.Linear(width, n_tags)

    def forward(self, x):
        return self.head(self.body(x))


def evaluate(net):
    net.eval()
    with torch.no_grad():
        prob = torch.sigmoid(net(Xt)).numpy()
    return f1_score(Yt, prob > 0.4, average="micro"), label_ranking_average_precision_score(Yt, prob)


net = Tagger(60, 12)
bce = nn.BCEWithLogitsLoss()
EPOCHS = 12
opt = torch.optim.AdamW(net.parameters(), lr=1.5e-3, weight_decay=0.05)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, EPOCHS * len(train))
for epoch in range(EPOCHS):
    net.train()
    losses = []
    for xb, yb in train:
        opt.zero_grad(set_to_none=True)
        l = bce(net(xb), yb)
        l.backward()
        opt.step()
        sched.step()
        losses.append(l.item())
    f1, lrap = evaluate(net)
    print("epoch %2d  bce %.4f  micro-F1 %.4f  LRAP %.4f" % (epoch, np.mean(losses), f1, lrap))
