import { describe, expect, it } from "vitest";
import { Dice } from "../../reproduce/tasks/dice.ts";
import {
  balance,
  type Controller,
  generalisation,
  generalisationStarts,
  gruauFitness,
  PoleBalancing,
  PoleEnvironment,
  usualStart,
} from "../../reproduce/tasks/pole-balancing.ts";

const still: Controller = { reset: () => {}, act: () => 0 };

/** Linear feedback of what is seen with velocities, enough for one pole. */
const feedback: Controller = {
  reset: () => {},
  act: ([x = 0, xd = 0, theta = 0, thetad = 0]) => 0.5 * x + 0.4 * xd + 4 * theta + 2 * thetad,
};

describe("PoleBalancing", () => {
  it.each([1, 2] as const)("keeps its energy without friction and force: %i poles that hang, swing and push the cart", (poles) => {
    const task = new PoleBalancing({ poles, friction: false });
    task.reset([0, 0.3, Math.PI - 0.5, 0.2, Math.PI + 0.2, -0.4].slice(0, 2 + 2 * poles));
    const before = task.energy();
    for (let k = 0; k < 500; k++) task.step(0);
    expect(Math.abs(task.energy() - before)).toBeLessThan(1e-6);
    expect(Math.abs((task.state[2] as number) - (Math.PI - 0.5))).toBeGreaterThan(1e-3); // it also moved
  });

  it("loses energy by friction, and gains what the force does", () => {
    const task = new PoleBalancing({ poles: 1 });
    task.reset([0, 0.5, Math.PI, 0]);
    const before = task.energy();
    for (let k = 0; k < 50; k++) task.step(0);
    expect(task.energy()).toBeLessThan(before);
  });

  it("accelerates as Barto, Sutton and Anderson's equations of one pole say", () => {
    // θ̈ = (g sin θ − cos θ (F + m l θ̇² sin θ)/(M + m))/(l (4/3 − m cos² θ/(M + m))), ẍ = (F + m l (θ̇² sin θ − θ̈ cos θ))/(M + m)
    const [m, l, total, force] = [0.1, 0.5, 1.1, 10];
    const slope = ([, xd, th, thd]: number[]) => {
      const [sin, cos] = [Math.sin(th as number), Math.cos(th as number)];
      const push = (force + m * l * (thd as number) ** 2 * sin) / total;
      const thdd = (9.8 * sin - cos * push) / (l * (4 / 3 - (m * cos * cos) / total));
      return [xd as number, push - (m * l * thdd * cos) / total, thd as number, thdd];
    };
    let s = [0.1, -0.2, 0.3, 0.4];
    const task = new PoleBalancing({ poles: 1, friction: false });
    task.reset(s);
    task.step(1);
    // Euler with steps of a microsecond
    for (let k = 0; k < 20_000; k++) s = s.map((value, i) => value + 1e-6 * (slope(s)[i] as number));
    s.forEach((value, i) => expect(Math.abs(value - (task.state[i] as number))).toBeLessThan(1e-5));
  });

  it("shows places, with velocities if asked to", () => {
    const start = [2.4, 1, 0.26, 2, 0.13, 4];
    expect(new PoleBalancing({ poles: 2 }).reset(start)).toEqual([0.5, 0.5, 0.25]);
    expect(new PoleBalancing({ poles: 2, velocities: true }).reset(start)).toEqual([0.5, 0.5, 0.5, 1, 0.25, 2]);
    expect(() => new PoleBalancing({ poles: 1 }).reset(start)).toThrow(/expected 4 numbers, got 6/);
  });

  it("fails beyond the track, beyond the angle and on what is no number; pushes beyond 1 count as 1", () => {
    const task = new PoleBalancing({ poles: 1 });
    for (const start of [
      [2.41, 0, 0, 0],
      [0, 0, 0.63, 0],
      [Number.NaN, 0, 0, 0],
    ]) {
      // biome-ignore format: one line
      task.reset(start);
      expect(task.failed).toBe(true);
    }
    task.reset([2.39, 0, 0.62, 0]);
    expect(task.failed).toBe(false);
    const ends = [1, 7].map((action) => {
      task.reset();
      task.step(action);
      return task.state;
    });
    expect(ends[0]).toEqual(ends[1]);
  });
});

describe("trials", () => {
  it("end when nobody pushes, and go on under feedback", () => {
    const task = new PoleBalancing({ poles: 1, velocities: true });
    const fallen = balance(task, still, 1000);
    expect(fallen).toBeGreaterThan(20);
    expect(fallen).toBeLessThan(100);
    expect(balance(task, feedback, 1000)).toBe(1000);
  });

  it("are judged by Gruau's fitness as its formula says", () => {
    const task = new PoleBalancing({ poles: 1, velocities: true });
    const fallen = balance(task, still, 1000);
    expect(gruauFitness(task, still)).toEqual({ fitness: (0.1 * fallen) / 1000, steps: fallen });
    const unrest: number[] = [];
    balance(task, feedback, 1000, usualStart(1), ([x = 0, xd = 0, a = 0, b = 0]) =>
      unrest.push(Math.abs(x) + Math.abs(xd) + Math.abs(a) + Math.abs(b)),
    );
    const { fitness } = gruauFitness(task, feedback);
    expect(fitness).toBeCloseTo(0.1 + 0.675 / unrest.slice(900).reduce((a, b) => a + b), 9);
  });

  it("start at 625 places, each another", () => {
    const starts = generalisationStarts(2);
    expect(new Set(starts.map(String)).size).toBe(625);
    expect(Math.max(...starts.map((s) => s[0] as number))).toBeCloseTo(1.944, 9);
    expect(generalisation(new PoleBalancing({ poles: 1, velocities: true }), still)).toBeLessThan(20);
    expect(generalisation(new PoleBalancing({ poles: 1, velocities: true }), feedback)).toBeGreaterThan(300);
  });
});

describe("PoleEnvironment", () => {
  const forces = [-1, 0.5];
  const world = () => new PoleEnvironment(new Dice(1), { poles: 1, angle: 12, forces, reward: 0.03 });

  it("begins at rest near the middle, each time elsewhere, and shows places five times as large", () => {
    const environment = world();
    const starts = Array.from({ length: 200 }, () => environment.reset());
    expect(new Set(starts.map(String)).size).toBe(200);
    const most = (i: number) => Math.max(...starts.map((s) => Math.abs(s[i] as number)));
    const [place, angle] = [(5 * 0.5) / 4.8, (5 * ((4.5 * Math.PI) / 180)) / 0.52];
    expect(most(0)).toBeLessThanOrEqual(place);
    expect(most(0)).toBeGreaterThan(0.9 * place);
    expect(most(1)).toBeLessThanOrEqual(angle);
    expect(most(1)).toBeGreaterThan(0.9 * angle);
  });

  it("pushes as the action says, and rewards each step until the pole has fallen", () => {
    const environment = world();
    const [x = 0, theta = 0] = environment.reset();
    const task = new PoleBalancing({ poles: 1, angle: 12 });
    task.reset([(x * 4.8) / 5, 0, (theta * 0.52) / 5, 0]);
    for (let t = 0; ; t++) {
      const up = task.step(forces[t % 2] as number);
      const { observation, reward, done } = environment.step(t % 2);
      task.observation().forEach((value, i) => expect(observation[i]).toBeCloseTo(5 * value, 9));
      expect([reward, done]).toEqual(up ? [0.03, false] : [0, true]);
      if (!up) break;
    }
  });
});
