import os, copy, random
import numpy as np
import pandas as pd
import torch
from torch import nn
import torch.nn.functional as F
from sklearn.model_selection import train_test_split
from sklearn.metrics import roc_auc_score


def set_seed(s):
    random.seed(s); np.random.seed(s); torch.manual_seed(s)


class CreditNet(nn.Module):
    """Entity embeddings for the categories, everything else goes in as numbers."""

    def __init__(self, cards, n_num, hidden=48, p=0.25):
        super().__init__()
        self.embs = nn.ModuleList([nn.Embedding(c, min(4, (c + 1) // 2)) for c in cards])
        d = sum(e.embedding_dim for e in self.embs) + n_num
        self.norm = nn.BatchNorm1d(n_num)
        self.fc1 = nn.Linear(d, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, 1)
        self.p = p

    def forward(self, c, x):
        h = torch.cat([e(c[:, i]) for i, e in enumerate(self.embs)] + [self.norm(x)], dim=1)
        h = F.dropout(F.relu(self.fc1(h)), self.p, self.training)
        h = F.dropout(F.relu(self.fc2(h)), self.p, self.training)
        return self.out(h).squeeze(1)


def load():
    df = pd.read_csv(os.environ["DATA"] + "/credit_data.csv")
    df = df.dropna(subset=["Status"])
    y = (df.Status == "good").astype("float32").values
    cats = ["Home", "Marital", "Records", "Job"]
    codes = np.stack([pd.factorize(df[c].fillna("unknown"))[0] for c in cats], 1)
    nums = df.drop(columns=cats + ["Status"])
    missing = nums[["Income", "Assets", "Debt"]].isna().astype("float32").values
    return codes, nums.values.astype("float64"), missing, y


def main():
    seed = int(os.environ.get("SEED", "0"))
    set_seed(seed)
    codes, nums, missing, y = load()
    rest, te = train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=seed)
    tr, va = train_test_split(rest, test_size=0.2, stratify=y[rest], random_state=seed)

    med = np.nanmedian(nums[tr], 0)
    nums = np.where(np.isnan(nums), med, nums)
    nums = np.sign(nums) * np.log1p(np.abs(nums))
    nums = (nums - nums[tr].mean(0)) / nums[tr].std(0)
    x = torch.tensor(np.concatenate([nums, missing], 1), dtype=torch.float32)
    c, y = torch.tensor(codes), torch.tensor(y)

    model = CreditNet([int(codes[:, i].max()) + 1 for i in range(codes.shape[1])], x.shape[1])
    opt = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.3, patience=4)
    best, best_state, wait, patience, max_epochs = 1e9, None, 0, 12, 100

    for epoch in range(max_epochs):
        model.train()
        order = np.random.permutation(tr)
        losses = []
        for i in range(0, len(order) - 32, 128):
            b = order[i:i + 128]
            loss = F.binary_cross_entropy_with_logits(model(c[b], x[b]), y[b])
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            vl = F.binary_cross_entropy_with_logits(model(c[va], x[va]), y[va]).item()
        plateau.step(vl)
        print("epoch %d | train %.4f | valid %.4f" % (epoch, np.mean(losses), vl))
        if vl < best - 1e-4:
            best, best_state, wait = vl, copy.deepcopy(model.state_dict()), 0
        else:
            wait += 1
            if wait >= patience:
                print("stopping early, best valid %.4f" % best)
                break

    model.load_state_dict(best_state)
    model.eval()
    with torch.no_grad():
        z = model(c[te], x[te])
    acc = ((z > 0) == (y[te] > 0.5)).float().mean().item()
    print("majority class %.4f" % y[te].mean().item())
    print("test accuracy %.4f  auc %.4f" % (acc, roc_auc_score(y[te].numpy(), z.numpy())))


if __name__ == "__main__":
    main()
