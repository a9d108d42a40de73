import os, random
import numpy as np
import torch

seed = int(os.environ.get('SEED', 0))
random.seed(seed); np.random.seed(seed); torch.manual_seed(seed)

# three spiral arms in the plane
def spirals(n):
    r = np.sqrt(np.random.uniform(0.02, 1, n))
    arm = np.random.randint(0, 3, n)
    phi = 2 * np.pi * (arm / 3 + 1.5 * r)
    xy = np.stack([r * np.cos(phi), r * np.sin(phi)], 1) + np.random.normal(0, 0.025, (n, 2))
    return torch.tensor(xy * 2, dtype=torch.float32), torch.tensor(arm)

X, Y = spirals(1800)
Xval, Yval = spirals(500)
Xtest, Ytest = spirals(2000)

W = 48
net = torch.nn.Sequential(
    torch.nn.Linear(2, W), torch.nn.ReLU(),
    torch.nn.Linear(W, W), torch.nn.ReLU(),
    torch.nn.Linear(W, W), torch.nn.ReLU(),
    torch.nn.Linear(W, 3),
)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)

def score(x, y):
    net.eval()
    with torch.no_grad():
        return (net(x).argmax(1) == y).double().mean().item()

for epoch in range(120):
    net.train()
    order = torch.randperm(len(X))
    for k in range(0, len(X), 50):
        b = order[k:k + 50]
        loss = torch.nn.functional.cross_entropy(net(X[b]), Y[b])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    val = score(Xval, Yval)
    scheduler.step(val)
    if epoch % 20 == 19:
        print('epoch %3d  loss %.4f  val acc %.4f' % (epoch + 1, loss.item(), val))

print('test acc %.4f' % score(Xtest, Ytest))
