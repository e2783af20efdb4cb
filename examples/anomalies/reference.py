"""Unusual days: the same job in PyTorch: python3 reference.py [SEED]"""

import csv
import json
import math
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
DAY = 48
folder = Path(__file__).parent
with open(folder / "nyc_taxi.csv") as file:
    rows = list(csv.reader(file))[1:]
with open(folder / "windows.json") as file:
    anomalies = json.load(file)
times = [row[0] for row in rows]
index = torch.arange(len(rows))
circles = [f(2 * math.pi * index / period) for period in (DAY, 7 * DAY) for f in (torch.sin, torch.cos)]
series = torch.stack([torch.tensor([float(row[1]) for row in rows]), *circles], 1)
cut = int(0.4 * len(series))
scaled = (series - series[:cut].mean(0)) / series[:cut].std(0)
days = scaled.unfold(0, 2 * DAY, 1)
inputs, targets = days[:, :, :DAY].transpose(1, 2), days[:, 0, DAY:]
start = cut - 2 * DAY + 1


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(5, 32, batch_first=True)
        self.head = nn.Linear(32, DAY)

    def forward(self, xs):
        _, (h, _) = self.lstm(xs)
        return self.head(h[-1])


model = Forecaster()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
loader = DataLoader(TensorDataset(inputs[:start], targets[:start]), batch_size=64, shuffle=True)
losses = []
while len(losses) < 200:
    for xs, ys in loader:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(xs), ys)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        losses.append(loss.item())

with torch.no_grad():
    errors = [(model(xs) - ys).square().mean(1) for xs, ys in zip(inputs.split(256), targets.split(256))]
scores = torch.cat(errors)
limit = scores[:start].max()
ends = times[2 * DAY - 1 :]
labels = torch.tensor([any(a <= time <= b for a, b in anomalies) for time in ends])
alarms = [time for time, score in zip(ends[start:], scores[start:]) if score > limit]
found = [(a, b) for a, b in anomalies if any(a <= time <= b for time in alarms)]
positive, negative = scores[start:][labels[start:]], scores[start:][~labels[start:]]
auc = (positive.unsqueeze(1) > negative).float().mean()
print(f"area under the curve {auc:.3f}, {len(found)} of {len(anomalies)} windows found")
print(f"days with alarms: {', '.join(sorted({time[:10] for time in alarms}))}")
