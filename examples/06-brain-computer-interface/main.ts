/** A brain-computer interface: the velocity of a cursor, read from the spikes of 64 cells. */

import {
  Adam,
  bootstrapInterval,
  cosineAnnealingLR,
  Dropout,
  Generator,
  GRU,
  Linear,
  lineChart,
  Module,
  manualSeed,
  mseLoss,
  predict,
  SequenceBatches,
  type Tensor,
  tensor,
} from "tapeloop";
import { type Figure, type Result, type RunOptions, restored, resultOf, train } from "../shared/example.ts";
import { type Decoder, kalmanFilter, populationVector, wienerFilter } from "./decoders.ts";
import { type Recording, recording, type Tuning, UNITS } from "./recording.ts";

const TEST = 60;
/** Bins of a training sequence. */
const PIECE = 100;
/** Bins from one of them to the next. */
const STRIDE = 20;
/** Velocities as the network sees them are about 1. */
const FAST = 0.1;

const SITUATIONS: Readonly<Record<string, Tuning>> = {
  "curved tuning, drift, different leads": { curved: true, drift: 0.5, lead: [1, 3] },
  "control: linear tuning, no drift, equal leads": { curved: false, drift: 0, lead: [2, 2] },
};

class SpikeReader extends Module {
  readonly dropout = new Dropout(0.2);
  readonly gru = new GRU({ inputSize: UNITS, hiddenSize: 48 });
  readonly head = new Linear(48, 2);

  /** Velocities [T,B,2] of counts [T,B,64]. */
  forward(counts: Tensor): Tensor {
    return this.head.forward(this.gru.forward(this.dropout.forward(counts)).output);
  }
}

class Readers extends Module {
  readonly readers: readonly SpikeReader[] = Object.keys(SITUATIONS).map(() => new SpikeReader());
}

function pieces({ counts, velocities }: Recording, end: number, epochs: number) {
  const starts = Array.from({ length: Math.floor((end - PIECE) / STRIDE) }, (_, i) => i * STRIDE);
  const examples = starts.map((t) => ({
    xs: counts.slice(t, t + PIECE).map((c) => Array.from(c)),
    ys: velocities.slice(t, t + PIECE).map((v) => v.map((x) => x / FAST)),
  }));
  return new SequenceBatches(examples, { batchSize: 8, shuffle: true, epochs, dtype: "float32", targetDtype: "float32" });
}

/** The network as a decoder; it runs in from the bins before. */
function decoderOf(reader: SpikeReader): Decoder {
  return ({ counts }, from, to) => {
    const begin = Math.max(0, from - 100);
    const xs = tensor(counts.slice(begin, to).map((c) => [Array.from(c)]));
    const [out] = predict(reader, [{ xs }], (m) => m.forward(xs).data()) as [Float32Array];
    return Array.from({ length: to - from }, (_, i) => [0, 1].map((k) => FAST * (out[2 * (from - begin + i) + k] as number)));
  };
}

/** What a reach adds to R²: its bins, and for both directions Σv, Σv² and the squared error. */
interface Sums {
  readonly bins: number;
  readonly sum: readonly number[];
  readonly square: readonly number[];
  readonly error: readonly number[];
}

function sumsOf(decoded: readonly number[][], truth: readonly (readonly number[])[]): Sums {
  const over = (f: (v: number, d: number) => number) =>
    [0, 1].map((k) => truth.reduce((sum, v, t) => sum + f(v[k] as number, decoded[t]?.[k] as number), 0));
  return { bins: truth.length, sum: over((v) => v), square: over((v) => v * v), error: over((v, d) => (v - d) ** 2) };
}

/** 1 − (squared error / variance) over some reaches, mean of both directions. */
function determination(reaches: readonly Sums[]): number {
  const bins = reaches.reduce((n, r) => n + r.bins, 0);
  const one = (k: number): number => {
    const total = (part: "sum" | "square" | "error") => reaches.reduce((n, r) => n + (r[part][k] as number), 0);
    return 1 - total("error") / (total("square") - total("sum") ** 2 / bins);
  };
  return (one(0) + one(1)) / 2;
}

/** A decoder's figure over the test reaches, with an interval over reaches. */
function figureOf(situation: string, of: string, { starts, velocities }: Recording, decoded: readonly number[][]): Figure {
  const ends = starts.slice(-1 - TEST);
  const first = ends[0] as number;
  const reaches = ends.slice(1).map((to, r) => {
    const from = ends[r] as number;
    return sumsOf(decoded.slice(from - first, to - first), velocities.slice(from, to));
  });
  const interval = bootstrapInterval(TEST, (cases) => determination(cases.map((i) => reaches[i] as Sums)), { generator: new Generator(0) });
  return { metric: `R² of velocity, ${situation}`, of, value: determination(reaches), interval };
}

export async function run(options: RunOptions = {}): Promise<Result> {
  const { seed = 0, quick = false, full = false } = options;
  manualSeed(seed);
  const readers = new Readers();
  const isStored = restored(readers, options);
  const figures: Figure[] = [];
  let picture = "";
  for (const [i, [situation, tuning]] of Object.entries(SITUATIONS).entries()) {
    const reader = readers.readers[i] as SpikeReader;
    const data = recording(quick ? 120 : 300, tuning, seed);
    const test = data.starts.at(-1 - TEST) as number;
    const batches = pieces(data, test, quick ? 1 : full ? 100 : 30);
    if (!isStored) {
      await train(
        situation,
        reader,
        batches,
        {
          optimizer: new Adam(reader.parameters(), { lr: 3e-3 }),
          loss: (m, { xs, ys }) => mseLoss(m.forward(xs), ys),
          clipNorm: 1,
          schedule: cosineAnnealingLR({ tMax: batches.epochs * batches.batchesPerEpoch }),
        },
        options,
      );
    }
    const lag = (tuning.lead[0] + tuning.lead[1]) / 2;
    const decoders: Readonly<Record<string, Decoder>> = {
      GRU: decoderOf(reader),
      "Wiener filter": wienerFilter(data, test),
      "Kalman filter": kalmanFilter(data, test, lag),
      "population vector": populationVector(data, test, lag),
    };
    const decoded = Object.entries(decoders).map(([of, decode]) => [of, decode(data, test, data.counts.length)] as const);
    for (const [of, velocities] of decoded) figures.push(figureOf(situation, of, data, velocities));
    if (i === 0) picture = paths(data, test, Object.fromEntries(decoded));
  }
  return resultOf(readers, {
    figures,
    gates: gatesOf(figures),
    data: "generated: minimum-jerk reaches and spikes of 64 tuned cells",
    pictures: { "paths.svg": picture },
  });
}

function gatesOf(figures: readonly Figure[]) {
  const ofPart = (control: boolean) => figures.filter(({ metric }) => metric.includes("control") === control);
  const own = (control: boolean) => ofPart(control).find(({ of }) => of === "GRU")?.value as number;
  const best = (control: boolean) => Math.max(...ofPart(control).flatMap(({ of, value }) => (of === "GRU" ? [] : value)));
  return [
    { what: "the GRU's R² is 0.02 above that of the best filter", passed: own(false) >= best(false) + 0.02 },
    { what: "in the control a filter comes within 0.02 of it", passed: best(true) >= own(true) - 0.02 },
  ];
}

/** The last sixteen reaches: where the cursor went, and where decoded velocities lead from each reach's start. */
function paths({ starts, positions }: Recording, test: number, decoded: Readonly<Record<string, readonly number[][]>>): string {
  const line = (name: string, color: string, velocities: readonly number[][] | null) => {
    const [x, y]: [number[], number[]] = [[], []];
    for (const [r, from] of starts.slice(-17, -1).entries()) {
      let [px, py] = positions[from] as [number, number];
      for (let t = from; t < (starts.slice(-17)[r + 1] as number); t++) {
        const v = velocities?.[t - test];
        if (v === undefined) [px, py] = positions[t] as [number, number];
        else [px, py] = [px + (v[0] as number), py + (v[1] as number)];
        x.push(px);
        y.push(py);
      }
      x.push(Number.NaN);
      y.push(Number.NaN);
    }
    return { name, x, y, color };
  };
  return lineChart(
    [
      line("cursor", "#000000", null),
      line("Kalman filter", "#56b4e9", decoded["Kalman filter"] ?? []),
      line("GRU", "#d55e00", decoded.GRU ?? []),
    ],
    {
      title: "Sixteen reaches, and what their spikes say",
      width: 620,
      height: 620,
    },
  );
}
