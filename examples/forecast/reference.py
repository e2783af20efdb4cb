"""A year ahead: the same job in PyTorch: python3 reference.py [SEED [FILE]]"""

import csv
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
path = sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent / "co2-concentration.csv"
with open(path) as file:
    rows = list(csv.reader(file))[1:]
series = torch.tensor([float(row[1]) for row in rows]).log()
cut = int(0.7 * len(series))
mean, std = series[:cut].mean(), series[:cut].std()
scaled = (series - mean) / std
train = scaled[:cut].unfold(0, 36, 1)
test = scaled[cut - 24 :].unfold(0, 36, 1)


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 32, batch_first=True)
        self.head = nn.Linear(32, 12)

    def forward(self, months):
        last = months[:, -1:]
        _, (h, _) = self.lstm((months - last).unsqueeze(2))
        return last + self.head(h[-1])


model = Forecaster()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
loader = DataLoader(TensorDataset(train[:, :24], train[:, 24:]), batch_size=32, shuffle=True)
losses = []
while len(losses) < 1500:
    for months, targets in loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(months), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        losses.append(loss.item())


def errors(guess):
    values, truth = (guess * std + mean).exp(), (test[:, 24:] * std + mean).exp()
    rmse = (values - truth).square().mean().sqrt()
    mape = ((values - truth) / truth).abs().mean()
    return f"RMSE {rmse:.2f}, MAPE {100 * mape:.2f} %"


with torch.no_grad():
    print(f"forecast: {errors(model(test[:, :24]))}")
print(f"last year's values: {errors(test[:, 12:24])}")
