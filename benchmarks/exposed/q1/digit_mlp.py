import os
import random

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

CONFIG = {
    "seed": int(os.environ.get("SEED", 0)),
    "dataset": "digits",
    "hidden": [64, 48],
    "keep_prob": 0.9,
    "optimizer": "RMSprop",
    "learning_rate": 0.001,
    "batch_size": 32,
    "num_epochs": 40,
    "display_step": 5,
}
DATASETS = {"digits": load_digits, "wine": load_wine, "cancer": load_breast_cancer}


def set_seed(s):
    random.seed(s)
    np.random.seed(s)
    torch.manual_seed(s)


def load(cfg):
    X, y = DATASETS[cfg["dataset"]](return_X_y=True)
    X_tr, X_te, y_tr, y_te = train_test_split(X, y, test_size=0.3, stratify=y, random_state=cfg["seed"])
    sc = StandardScaler().fit(X_tr)
    t = lambda a: torch.tensor(sc.transform(a), dtype=torch.float32)
    return t(X_tr), torch.tensor(y_tr), t(X_te), torch.tensor(y_te)


def multilayer_perceptron(n_input, n_classes, cfg):
    layers, prev = [], n_input
    for h in cfg["hidden"]:
        layers += [nn.Linear(prev, h), nn.ReLU(), nn.Dropout(cfg["keep_prob"])]
        prev = h
    layers.append(nn.Linear(prev, n_classes))
    return nn.Sequential(*layers)


def main(cfg):
    set_seed(cfg["seed"])
    X_tr, y_tr, X_te, y_te = load(cfg)
    model = multilayer_perceptron(X_tr.shape[1], int(y_tr.max()) + 1, cfg)
    cost = nn.CrossEntropyLoss()
    optimizer = getattr(torch.optim, cfg["optimizer"])(model.parameters(), lr=cfg["learning_rate"])
    total_batch = len(X_tr) // cfg["batch_size"]
    for epoch in range(cfg["num_epochs"]):
        model.train()
        avg_cost = 0.0
        perm = torch.randperm(len(X_tr))
        for i in range(total_batch):
            b = perm[i * cfg["batch_size"]:(i + 1) * cfg["batch_size"]]
            loss = cost(model(X_tr[b]), y_tr[b])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            avg_cost += loss.item() / total_batch
        if (epoch + 1) % cfg["display_step"] == 0:
            print("Epoch:", "%04d" % (epoch + 1), "cost={:.9f}".format(avg_cost))
    print("Optimization Finished!")
    model.eval()
    with torch.no_grad():
        pred = model(X_te).argmax(1)
    print("Accuracy: %.4f" % accuracy_score(y_te, pred))


if __name__ == "__main__":
    main(CONFIG)
