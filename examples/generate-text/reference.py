"""Text from text: the same job in PyTorch: python3 reference.py [SEED [FILE.txt]]"""

import math
import os
import sys
from pathlib import Path

import torch
from torch import nn

torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
path = sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent / "shakespeare.txt"
text = Path(path).read_text(encoding="utf8")
letters = sorted(set(text))
ids = torch.tensor([letters.index(letter) for letter in text])
cut = len(ids) - len(ids) // 10
STEPS, SAVED = 800, "run.pt"


class CharModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(letters), len(letters))
        self.lstm = nn.LSTM(len(letters), 128)
        self.head = nn.Linear(128, len(letters))

    def forward(self, xs, state=None):
        ys, state = self.lstm(self.embedding(xs), state)
        return self.head(ys), state


def windows(ids, batch, width):
    streams = ids[: len(ids) // batch * batch].view(batch, -1).t()
    for start in range(0, len(streams) - 1, width):
        end = min(start + width, len(streams) - 1)
        yield streams[start:end], streams[start + 1 : end + 1]


def loss_of(xs, ys, state):
    logits, (h, c) = model(xs, state)
    return nn.functional.cross_entropy(logits.flatten(0, 1), ys.flatten()), (h.detach(), c.detach())


model = CharModel()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
step = 0
if os.path.exists(SAVED):
    saved = torch.load(SAVED)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    step = saved["step"]
while step < STEPS:
    state = None
    for xs, ys in windows(ids[:cut], 32, 50):
        loss, state = loss_of(xs, ys, state)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        step += 1
        print(f"\rstep {step}, {loss.item() / math.log(2):.2f} bits a character", end="", file=sys.stderr)
        if step % 100 == 0:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, SAVED)
        if step == STEPS:
            break

model.eval()
total, count, state = 0.0, 0, None
with torch.no_grad():
    for xs, ys in windows(ids[cut:], 16, 50):
        loss, state = loss_of(xs, ys, state)
        total += loss.item() * ys.numel()
        count += ys.numel()
    print(f"\n{total / count / math.log(2):.2f} bits a character of text it has not seen")
    xs, state, written = torch.full((2, 1), letters.index("\n")), None, []
    for _ in range(400):
        logits, state = model(xs, state)
        xs = torch.multinomial((logits[-1] / 0.7).softmax(1), 1)
        written.append(letters[xs.item()])
print("".join(written))
os.remove(SAVED)
