# next-value forecasting of a noisy seasonal series with an LSTM
import os, random
import numpy as np
import torch
import torch.nn as nn

SEED = int(os.environ.get("SEED", 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

T = 2400
t = np.arange(T)
series = (np.sin(2 * np.pi * t / 25) + 0.6 * np.sin(2 * np.pi * t / 11 + 1.0)
          + 0.4 * np.sin(2 * np.pi * t / 25) * np.sin(2 * np.pi * t / 70) + 0.08 * np.random.randn(T))
series = (series - series[:1800].mean()) / series[:1800].std()

LOOKBACK = 20
windows = np.stack([series[i:i + LOOKBACK + 1] for i in range(T - LOOKBACK)]).astype("float32")
train, test = torch.from_numpy(windows[:1800 - LOOKBACK]), torch.from_numpy(windows[1800:])


class Forecaster(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, x):
        out, _ = self.lstm(x.unsqueeze(-1))
        return self.linear(out[:, -1]).squeeze(-1)


model = Forecaster()
loss_function = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)

for epoch in range(20):
    losses = []
    for batch in train[torch.randperm(len(train))].split(32):
        y_pred = model(batch[:, :-1])
        single_loss = loss_function(y_pred, batch[:, -1])
        single_loss.backward()
        optimizer.step()
        losses.append(single_loss.item())
    if epoch % 4 == 3:
        print(f"epoch: {epoch + 1:3} loss: {np.mean(losses):10.6f}")

model.eval()
with torch.no_grad():
    pred = model(test[:, :-1])
    mse = loss_function(pred, test[:, -1]).item()
    naive = loss_function(test[:, -2], test[:, -1]).item()
print(f"test mse {mse:.4f}  (repeat the last value: {naive:.4f})")
