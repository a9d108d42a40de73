# autoencoder for the 8x8 digits -> 10 numbers per picture
import os, random
import numpy as np, torch
import torch.nn as nn
from sklearn.datasets import load_digits

s = int(os.environ.get("SEED", 0))
random.seed(s); np.random.seed(s); torch.manual_seed(s)

x = torch.tensor(load_digits().data / 16.0, dtype=torch.float32)
print("data", tuple(x.shape))

H = 192
encoder = nn.Sequential(nn.Linear(64, H), nn.ELU(), nn.Linear(H, H // 2), nn.ELU(), nn.Linear(H // 2, 10))
decoder = nn.Sequential(nn.Linear(10, H // 2), nn.ELU(), nn.Linear(H // 2, H), nn.ELU(), nn.Linear(H, 64), nn.Sigmoid())
params = list(encoder.parameters()) + list(decoder.parameters())
optimizer = torch.optim.Adam(params, lr=5e-3)
epochs = 70
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [int(epochs * 0.6), int(epochs * 0.85)], gamma=0.3)
mse = nn.MSELoss()

for epoch in range(epochs):
    total, n = 0, 0
    for batch in torch.randperm(len(x)).split(50):
        img = x[batch]
        rec = decoder(encoder(img))
        loss = mse(rec, img)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
        n += len(batch)
    scheduler.step()
    if (epoch + 1) % 10 == 0:
        print("epoch [{}/{}], loss:{:.5f}".format(epoch + 1, epochs, total / n))
torch.set_printoptions(precision=2, sci_mode=False)
with torch.no_grad():
    print("code of picture 0:", encoder(x[:1])[0])
