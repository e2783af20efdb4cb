/** Rhythm: networks that hear one beat, or the beats so far, and have to play the next ones to the step. */

import type { Tensor } from "tapeloop";
import {
  Adam,
  assign,
  bceWithLogits,
  cosineAnnealingLR,
  initializers,
  Linear,
  LSTM,
  lineChart,
  Module,
  manualSeed,
  noGrad,
  RNN,
  scope,
  tanh,
  tensor,
} from "tapeloop";
import { type Figure, type Result, type RunOptions, restored, resultOf, train } from "../shared/example.ts";
import { wavOf } from "../shared/wav.ts";

/** Steps between beats, repeated: a steady pulse, and swung eighths. */
const RHYTHMS = { pulse: [20], swing: [16, 8] } as const;
type Rhythm = keyof typeof RHYTHMS;
/** What a window sees, one step less than a network needs to know when the pulse's last beat was. */
const WINDOW = 19;
/** Beats that are trained, and those that have to be played. */
const TRAINED = 6;
const PLAYED = 30;
/** Networks of each kind, all of which are trained. */
const NETS = 5;

/** Reads beats [T,1,1] and says at each step whether it plays one, as a logit. */
interface Player extends Module {
  forward(xs: Tensor): Tensor;
}

class Recurrent extends Module implements Player {
  readonly layer: LSTM | RNN;
  readonly head: Linear;

  constructor(layer: LSTM | RNN) {
    super();
    this.layer = layer;
    this.head = new Linear(layer.hiddenSize, 1);
  }

  forward(xs: Tensor): Tensor {
    return this.head.forward(this.layer.forward(xs).output);
  }
}

/** Sees the last steps and nothing else. */
class WindowNet extends Module implements Player {
  readonly hidden = new Linear(WINDOW, 8);
  readonly head = new Linear(8, 1);

  forward(xs: Tensor): Tensor {
    const T = xs.dim(0);
    const x = xs.data();
    const taps = Float32Array.from({ length: T * WINDOW }, (_, i) => x[Math.floor(i / WINDOW) - (i % WINDOW)] ?? 0);
    return this.head.forward(tanh(this.hidden.forward(tensor(taps, { shape: [T, 1, WINDOW] }))));
  }
}

/** LSTM cells that begin with long memories. */
function lstm(hiddenSize: number, peepholes: boolean): Recurrent {
  const layer = new LSTM({ inputSize: 1, hiddenSize, peepholes });
  const [, , bias, other] = layer.parameters() as [Tensor, Tensor, Tensor, Tensor];
  initializers.chrono(bias, { tMax: 200, inputGate: null });
  assign(other, new Float32Array(other.size));
  return new Recurrent(layer);
}

/** Kinds of networks with about equally many weights, and their learning rates. */
const KINDS: Readonly<Record<string, { readonly lr: number; readonly make: (size: number) => Player }>> = {
  "LSTM with peepholes": { lr: 2e-2, make: (size) => lstm(size, true) },
  "LSTM without peepholes": { lr: 2e-2, make: (size) => lstm(size, false) },
  "Elman network": { lr: 1e-2, make: (size) => new Recurrent(new RNN({ inputSize: 1, hiddenSize: 2 * size + 1 })) },
  "network on a window": { lr: 1e-2, make: () => new WindowNet() },
};

/** The cue and the beats, each heard one step after it is played, and the beats to play. */
interface Music {
  readonly xs: Tensor;
  readonly ys: Tensor;
}

function music(rhythm: Rhythm, beats: number): Music {
  const gaps = RHYTHMS[rhythm];
  const places = [0];
  while (places.length <= beats) places.push((places.at(-1) as number) + (gaps[(places.length - 1) % gaps.length] as number));
  const T = (places.at(-1) as number) + 1;
  const [xs, ys] = [new Float32Array(T), new Float32Array(T)];
  xs[0] = 1;
  for (const t of places.slice(1)) {
    ys[t] = 1;
    if (t + 1 < T) xs[t + 1] = 1;
  }
  return { xs: tensor(xs, { shape: [T, 1, 1] }), ys: tensor(ys, { shape: [T, 1, 1] }) };
}

/** What a player plays where it is told the right beats so far. Without a mistake that is also what it plays when it hears itself. */
function played(player: Player, { xs }: Music): boolean[] {
  return scope(() => noGrad(() => Array.from(player.forward(xs).data(), (logit) => logit > 0)));
}

/** Whether all beats are at their steps, and nothing else is. */
function isRight(player: Player, piece: Music): boolean {
  const goal = piece.ys.data();
  return played(player, piece).every((beat, t) => beat === (goal[t] === 1));
}

/** All players of this program, by rhythm and kind. */
class Band extends Module {
  readonly players = new Map<string, readonly Player[]>();

  constructor(nets: number) {
    super();
    for (const rhythm of rhythms) {
      for (const [kind, { make }] of Object.entries(KINDS)) {
        const size = 2 * RHYTHMS[rhythm].length;
        this.players.set(
          `${rhythm}, ${kind}`,
          Array.from({ length: nets }, () => make(size)),
        );
      }
    }
  }
}

const rhythms = Object.keys(RHYTHMS) as Rhythm[];

export async function run(options: RunOptions = {}): Promise<Result> {
  const { seed = 0, quick = false, full = false } = options;
  manualSeed(seed);
  const maxSteps = quick ? 10 : full ? 10_000 : 2500;
  const band = new Band(quick ? 1 : NETS);
  const isStored = restored(band, options);
  const figures: Figure[] = [];
  for (const rhythm of rhythms) {
    const [lesson, piece] = [music(rhythm, TRAINED), music(rhythm, PLAYED)];
    for (const [kind, { lr }] of Object.entries(KINDS)) {
      const players = band.players.get(`${rhythm}, ${kind}`) as readonly Player[];
      for (const [i, player] of isStored ? [] : players.entries()) {
        await train(
          `${rhythm}, ${kind} ${i + 1}`,
          player,
          [lesson],
          {
            optimizer: new Adam(player.parameters(), { lr }),
            loss: (m, { xs, ys }) => bceWithLogits(m.forward(xs), ys, { posWeight: tensor([10]) }),
            clipNorm: 1,
            schedule: cosineAnnealingLR({ tMax: maxSteps }),
            epochs: maxSteps,
            maxSteps,
          },
          options,
        );
      }
      const right = players.filter((player) => isRight(player, piece)).length;
      figures.push({
        metric: `${rhythm} of ${RHYTHMS[rhythm].join(" and ")} steps: players of ${players.length} that play ${PLAYED} beats without a mistake`,
        of: kind,
        value: right,
      });
    }
  }
  return resultOf(band, {
    figures,
    gates: gatesOf(figures),
    data: "generated: a cue and beats at regular intervals",
    pictures: picturesOf(band),
  });
}

function gatesOf(figures: readonly Figure[]) {
  const right = (kind: string) => figures.find(({ metric, of }) => metric.startsWith("pulse") && of === kind)?.value ?? 0;
  return [
    { what: "four of five LSTMs with peepholes keep the pulse", passed: right("LSTM with peepholes") >= 4 },
    { what: "no network on a window does", passed: right("network on a window") === 0 },
  ];
}

function picturesOf(band: Band): Record<string, string | Uint8Array> {
  const rightOf = (rhythm: Rhythm, kinds: readonly string[]): Recurrent => {
    const players = kinds.flatMap((kind) => band.players.get(`${rhythm}, ${kind}`) as Recurrent[]);
    return players.find((player) => isRight(player, music(rhythm, PLAYED))) ?? (players[0] as Recurrent);
  };
  const pulse = rightOf("pulse", ["LSTM with peepholes"]);
  const swing = rightOf("swing", ["LSTM with peepholes", "LSTM without peepholes", "Elman network"]);
  return { "cells.svg": cellsOf(pulse), "swing.wav": clicks(played(swing, music("swing", 16))) };
}

/** The cells of a player over four beats, and what it plays. */
function cellsOf(player: Recurrent): string {
  const { xs } = music("pulse", 4);
  const T = xs.dim(0);
  const x = Array.from({ length: T }, (_, t) => t);
  const outputs = scope(() => noGrad(() => player.layer.forward(xs).output.data()));
  const H = player.layer.hiddenSize;
  const beats = played(player, music("pulse", 4));
  return lineChart(
    [
      ...Array.from({ length: H }, (_, k) => ({ name: `cell ${k + 1}`, x, y: x.map((t) => outputs[t * H + k] as number) })),
      { name: "plays", x, y: beats.map(Number), color: "#000000", dashed: true },
    ],
    { title: "How two cells count twenty steps", xLabel: "step", yLabel: "output" },
  );
}

/** A click for each beat, 24 steps a second; the first of each bar of eight is higher. */
function clicks(beats: readonly boolean[]): Uint8Array {
  const rate = 8000;
  const samples = new Float32Array(Math.ceil((rate * beats.length) / 24) + rate / 4);
  let count = 0;
  beats.forEach((beat, t) => {
    if (!beat) return;
    const pitch = count++ % 8 === 0 ? 1760 : 1175;
    const start = Math.round((rate * t) / 24);
    for (let i = 0; i < rate / 4; i++) samples[start + i] = 0.8 * Math.exp(-i / 250) * Math.sin((2 * Math.PI * pitch * i) / rate);
  });
  return wavOf(samples, rate);
}
