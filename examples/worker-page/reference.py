"""Training in the background of a window, with progress, a curve and Stop: the same job in PyTorch and tkinter."""

import queue
import threading
import tkinter as tk
from pathlib import Path
from tkinter import ttk

import torch
from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
from matplotlib.figure import Figure
from torch import nn

STEPS = 600
text = (Path(__file__).parent / "text.txt").read_text()
letters = sorted(set(text))
ids = torch.tensor([letters.index(letter) for letter in text])


class CharModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(letters), len(letters))
        self.lstm = nn.LSTM(len(letters), 64)
        self.head = nn.Linear(64, len(letters))

    def forward(self, xs, state=None):
        ys, state = self.lstm(self.embedding(xs), state)
        return self.head(ys), state


model = CharModel()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
messages = queue.Queue()
stopping = threading.Event()
losses = []


def windows():
    streams = ids[: len(ids) // 8 * 8].view(8, -1).t()
    while True:
        state = None
        for start in range(0, len(streams) - 1, 32):
            end = min(start + 32, len(streams) - 1)
            state = yield streams[start:end], streams[start + 1 : end + 1], state


def write(length):
    symbols, state = ids[:8].tolist(), None
    xs = ids[:8].view(-1, 1)
    with torch.no_grad():
        for _ in range(length):
            logits, state = model(xs, state)
            xs = torch.multinomial((logits[-1] / 0.5).softmax(1), 1)
            symbols.append(xs.item())
    return "".join(letters[i] for i in symbols)


source = windows()
batch = next(source)


def train():
    global batch
    while len(losses) < STEPS and not stopping.is_set():
        xs, ys, state = batch
        logits, (h, c) = model(xs, state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), ys.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        losses.append(loss.item())
        batch = source.send((h.detach(), c.detach()))
        if len(losses) % 20 == 0:
            messages.put(None)
    messages.put(write(250))


window = tk.Tk()
button = ttk.Button(window, text="Train")
bar = ttk.Progressbar(window, maximum=STEPS)
axes = Figure(figsize=(5, 3)).add_subplot()
canvas = FigureCanvasTkAgg(axes.figure, window)
written = tk.Label(window, justify="left")
for widget in (button, bar, canvas.get_tk_widget(), written):
    widget.pack()


def click():
    if button["text"] == "Stop":
        stopping.set()
        return
    stopping.clear()
    button["text"] = "Stop"
    threading.Thread(target=train, daemon=True).start()


def show():
    while not messages.empty():
        message = messages.get()
        bar["value"] = len(losses)
        axes.clear()
        axes.plot(losses)
        canvas.draw()
        if message is not None:
            written["text"] = message
            button["text"] = "Done" if len(losses) == STEPS else "Go on"
    window.after(50, show)


button["command"] = click
show()
window.mainloop()
