import gzip, os, random
import numpy as np
import torch
import torch.nn.functional as F

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED); np.random.seed(SEED); torch.manual_seed(SEED)
DATA = os.environ["DATA"] + "/fashion-mnist/"

n_nodes_hl1 = 300
n_nodes_hl2 = 300
n_nodes_hl3 = 300
n_classes = 10
batch_size = 100


def load(name, n):
    x = np.frombuffer(gzip.open(DATA + name + "-images-idx3-ubyte.gz").read(), np.uint8, offset=16)
    y = np.frombuffer(gzip.open(DATA + name + "-labels-idx1-ubyte.gz").read(), np.uint8, offset=8)
    x = x.reshape(-1, 784)[:n].astype(np.float32) / 255
    return torch.from_numpy(x), torch.from_numpy(y[:n].astype(np.int64))


def layer(n_in, n_out):
    w = torch.randn(n_in, n_out)
    b = torch.zeros(n_out)
    return {"weights": w.requires_grad_(), "biases": b.requires_grad_()}


hidden_1 = layer(784, n_nodes_hl1)
hidden_2 = layer(n_nodes_hl1, n_nodes_hl2)
hidden_3 = layer(n_nodes_hl2, n_nodes_hl3)
output = layer(n_nodes_hl3, n_classes)


def neural_network_model(data):
    l1 = F.relu(data @ hidden_1["weights"] + hidden_1["biases"])
    l2 = F.relu(l1 @ hidden_2["weights"] + hidden_2["biases"])
    l3 = F.relu(l2 @ hidden_3["weights"] + hidden_3["biases"])
    return l3 @ output["weights"] + output["biases"]


def train_neural_network(x, y, x_test, y_test, hm_epochs=8):
    params = [p for l in (hidden_1, hidden_2, hidden_3, output) for p in l.values()]
    optimizer = torch.optim.Adam(params, lr=1e-3)
    for epoch in range(hm_epochs):
        epoch_loss = 0
        idx = np.random.permutation(len(x))
        for k in range(len(x) // batch_size):
            rows = idx[k * batch_size:(k + 1) * batch_size]
            cost = F.cross_entropy(neural_network_model(x[rows]), y[rows])
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()
            epoch_loss += cost.item()
        with torch.no_grad():
            acc = (neural_network_model(x_test).argmax(1) == y_test).float().mean().item()
        print("Epoch", epoch, "completed out of", hm_epochs, "loss:", round(epoch_loss, 3), "accuracy:", round(acc, 4))


x_train, y_train = load("train", 6000)
x_test, y_test = load("t10k", 3000)
train_neural_network(x_train, y_train, x_test, y_test)
