import os
import random
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import TensorDataset, DataLoader
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler, OneHotEncoder
from sklearn.metrics import r2_score, mean_absolute_error

SEED = int(os.environ.get('SEED', 0))
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)

# ---------------------------------------------------------------- data
houses = pd.read_csv(os.environ['DATA'] + '/ames.csv').drop(columns=['Order', 'PID'])
# the author of the data advises to leave out the five houses above 4000 sq ft
houses = houses[houses['area'] < 4000]
price = houses.pop('price').values.astype(np.float32)
numeric = houses.select_dtypes('number').columns
quality = ['Neighborhood', 'Exter.Qual', 'Kitchen.Qual', 'Bsmt.Qual', 'Bldg.Type',
           'House.Style', 'MS.Zoning', 'Foundation', 'Sale.Condition', 'Central.Air',
           'Bsmt.Exposure', 'Garage.Finish', 'Fireplace.Qu', 'Functional']
prep = make_column_transformer(
    (make_pipeline(SimpleImputer(strategy='median'), StandardScaler()), numeric),
    (make_pipeline(SimpleImputer(strategy='constant', fill_value='none'),
                   OneHotEncoder(handle_unknown='ignore', min_frequency=10, sparse_output=False)), quality))

X_train, X_test, p_train, p_test = train_test_split(houses, price, test_size=0.25, random_state=SEED)
X_train = torch.tensor(prep.fit_transform(X_train), dtype=torch.float32).clamp(-5, 5)
X_test = torch.tensor(prep.transform(X_test), dtype=torch.float32).clamp(-5, 5)
log_mean, log_std = np.log(p_train).mean(), np.log(p_train).std()
target = torch.tensor((np.log(p_train) - log_mean) / log_std).view(-1, 1)

# ---------------------------------------------------------------- model
model = nn.Sequential()
model.add_module('dense_1', nn.Linear(X_train.shape[1], 64))
model.add_module('act_1', nn.ReLU())
model.add_module('drop_1', nn.Dropout(0.1))
model.add_module('dense_2', nn.Linear(64, 32))
model.add_module('act_2', nn.ReLU())
model.add_module('dense_3', nn.Linear(32, 1))

EPOCHS = 30
loss_fn = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.001, weight_decay=1e-3)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
loader = DataLoader(TensorDataset(X_train, target), batch_size=50, shuffle=True)

for epoch in range(1, EPOCHS + 1):
    model.train()
    epoch_loss = 0
    for xb, yb in loader:
        loss = loss_fn(model(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * len(xb)
    scheduler.step()
    if epoch % 5 == 0:
        print('Epoch %d/%d - loss: %.5g' % (epoch, EPOCHS, epoch_loss / len(X_train)))

model.eval()
with torch.no_grad():
    pred = np.exp(model(X_test).squeeze(1).numpy() * log_std + log_mean)
print('test MAE: %.0f dollars' % mean_absolute_error(p_test, pred))
print('test R2:  %.4f' % r2_score(p_test, pred))
