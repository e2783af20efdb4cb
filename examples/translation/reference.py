"""From English to French with attention: the same job in PyTorch: python3 reference.py [SEED]"""

import re
import sys
from pathlib import Path

import torch
from nltk.translate.bleu_score import SmoothingFunction, corpus_bleu
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, random_split

torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
PAD, UNK, END = 0, 1, 2


def tokenize(text):
    return re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", text)


class Vocabulary:
    def __init__(self, texts):
        self.tokens = ["<pad>", "<unk>", "<end>"] + sorted({token for text in texts for token in tokenize(text)})
        self.ids = {token: i for i, token in enumerate(self.tokens)}

    def encode(self, text):
        return torch.tensor([self.ids.get(token, UNK) for token in tokenize(text)])


sentences = {}
for row in (Path(__file__).parent / "eng-fra.txt").read_text(encoding="utf8").lower().strip().split("\n"):
    english, french, _ = row.split("\t")
    sentences.setdefault(english, []).append(french)
test_size = len(sentences) // 10
train, test = random_split(list(sentences.items()), [len(sentences) - test_size, test_size])
english = Vocabulary(text for text, _ in train)
french = Vocabulary(text for _, texts in train for text in texts)
examples = [(english.encode(text), french.encode(own)) for text, texts in train for own in texts]


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(english.tokens), 64)
        self.gru = nn.GRU(64, 64, bidirectional=True)

    def forward(self, xs, lengths):
        packed = pack_padded_sequence(self.embedding(xs), lengths, enforce_sorted=False)
        outputs, h = self.gru(packed)
        outputs, _ = pad_packed_sequence(outputs)
        return outputs, h[1]


class BahdanauAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(128, 64, bias=False)
        self.key = nn.Linear(128, 64, bias=False)
        self.score = nn.Linear(64, 1, bias=False)

    def forward(self, state, memory, mask):
        scores = self.score(torch.tanh(self.query(state) + self.key(memory))).squeeze(2)
        weights = scores.masked_fill(~mask, float("-inf")).softmax(0)
        return (weights.unsqueeze(2) * memory).sum(0), weights


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(french.tokens), 64)
        self.attention = BahdanauAttention()
        self.bridge = nn.Linear(64, 128)
        self.cell = nn.GRUCell(64 + 128, 128)
        self.head = nn.Linear(128 + 64 + 128, len(french.tokens))

    def start(self, last):
        return torch.tanh(self.bridge(last))

    def step(self, symbols, state, memory, mask):
        context, weights = self.attention(state, memory, mask)
        x = self.embedding(symbols)
        state = self.cell(torch.cat([x, context], 1), state)
        return self.head(torch.cat([state, x, context], 1)), state, weights


encoder, decoder = Encoder(), Decoder()
parameters = [*encoder.parameters(), *decoder.parameters()]
optimizer = torch.optim.Adam(parameters, lr=3e-3)


def read(sources):
    lengths = torch.tensor([len(source) for source in sources])
    xs = pad_sequence(sources)
    memory, last = encoder(xs, lengths)
    mask = torch.arange(len(xs)).unsqueeze(1) < lengths
    return memory, mask, decoder.start(last)


losses = []
for epoch in range(8):
    for batch in DataLoader(examples, batch_size=32, shuffle=True, collate_fn=lambda batch: batch):
        sources, targets = zip(*batch)
        memory, mask, state = read(sources)
        goals = pad_sequence([torch.cat([target, torch.tensor([END])]) for target in targets], padding_value=-100)
        symbols = torch.full((len(batch),), END)
        logits = []
        for goal in goals:
            step, state, _ = decoder.step(symbols, state, memory, mask)
            logits.append(step)
            symbols = goal.clamp(min=0)
        loss = nn.functional.cross_entropy(torch.cat(logits), goals.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1)
        optimizer.step()
        losses.append(loss.item())


@torch.no_grad()
def translate(texts):
    memory, mask, state = read([english.encode(text) for text in texts])
    symbols = torch.full((len(texts),), END)
    said = []
    for _ in range(15):
        logits, state, _ = decoder.step(symbols, state, memory, mask)
        symbols = logits.argmax(1)
        said.append(symbols)
    rows = torch.stack(said, 1).tolist()
    ended = [row[: row.index(END)] if END in row else row for row in rows]
    return [[french.tokens[i] for i in row] for row in ended]


guesses = translate([text for text, _ in test])
references = [[tokenize(text) for text in texts] for _, texts in test]
score = corpus_bleu(references, guesses, smoothing_function=SmoothingFunction().method2)
exact = sum(guess in own for guess, own in zip(guesses, references)) / len(test)
print(f"BLEU {100 * score:.1f}, {100 * exact:.1f} % as in the data")
