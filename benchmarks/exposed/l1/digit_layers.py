# two hidden layers with dropout on the 8x8 digits
import os
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

seed = int(os.environ.get("SEED", 0))
torch.manual_seed(seed)
np.random.seed(seed)

learning_rate = 0.001
epochs = 25
batch_size = 50
dropout = 0.9

digits = load_digits()
x_train, x_test, y_train, y_test = train_test_split(
    digits.data.astype(np.float32) / 16.0, digits.target, test_size=0.25, random_state=seed, stratify=digits.target)
x_train, x_test = torch.tensor(x_train), torch.tensor(x_test)
y_train, y_test = torch.tensor(y_train), torch.tensor(y_test)


class Classifier(torch.nn.Module):

    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(64, 128)
        self.fc2 = torch.nn.Linear(128, 128)
        self.fc3 = torch.nn.Linear(128, 10)
        self.drop = torch.nn.Dropout(dropout)

    def forward(self, x):
        x = self.drop(torch.relu(self.fc1(x)))
        x = self.drop(torch.relu(self.fc2(x)))
        return self.fc3(x)


net = Classifier()
optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
loss_op = torch.nn.CrossEntropyLoss()


def accuracy(x, y):
    net.eval()
    with torch.no_grad():
        return (net(x).argmax(dim=1) == y).double().mean().item()


total_batch = len(x_train) // batch_size
for epoch in range(epochs):
    net.train()
    shuffled = torch.randperm(len(x_train))
    avg_cost = 0
    for i in range(total_batch):
        rows = shuffled[i * batch_size:(i + 1) * batch_size]
        optimizer.zero_grad()
        cost = loss_op(net(x_train[rows]), y_train[rows])
        cost.backward()
        optimizer.step()
        avg_cost += cost.item() / total_batch
    if epoch % 5 == 4:
        print("Epoch: %03d  cost = %.4f  train acc = %.3f" % (epoch + 1, avg_cost, accuracy(x_train, y_train)))

print("Test accuracy: %.4f" % accuracy(x_test, y_test))
