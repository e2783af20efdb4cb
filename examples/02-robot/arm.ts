/** An arm of two links that lies on a table, driven by a policy: one differentiable recurrence. */

import { add, Cell, cat, cos, div, type Module, mul, sin, slice, sub, type Tensor, tanh, zeros } from "tapeloop";

/** What a policy may look at [B,2]: where the joints should be, where they are, and how fast they turn. */
export interface Observation {
  readonly goal: Tensor;
  readonly angles: Tensor;
  readonly speeds: Tensor;
}

/** Torques [B,2] from what is seen and remembered [B,H]. */
export interface Policy extends Module {
  readonly hiddenSize: number;
  act(observation: Observation, memory: Tensor): [torques: Tensor, memory: Tensor];
}

/** Angles of shoulder and elbow, and their speeds [B,2]. */
interface Joints {
  readonly angles: Tensor;
  readonly speeds: Tensor;
}

export interface ArmState extends Joints {
  readonly [part: string]: Tensor;
  readonly memory: Tensor;
}

/** Lengths and masses of the links, their inertia, where the forearm's mass is: Li and Todorov, 2004. */
const [L1, L2, M2, I1, I2, S2] = [0.3, 0.33, 1.1, 0.025, 0.045, 0.16];
/** Friction of a joint, and what it takes from the other one. */
const [FRICTION, COUPLED] = [0.05, 0.025];
/** Seconds of a step. */
const STEP = 0.01;
/** Newton metres that the motors cannot exceed. */
const MOST = 8;
/** Where every reach begins. */
export const START = [0.8, 1.4] as const;

const column = (x: Tensor, k: number): Tensor => slice(x, 1, k, k + 1);

/** Angular accelerations [B,2], by inverting the 2 × 2 matrix of inertia; a payload [B,1] sits in the hand. */
function accelerations({ angles, speeds }: Joints, torques: Tensor, payload: Tensor): Tensor {
  const a = add(mul(payload, L1 * L1 + L2 * L2), I1 + I2 + M2 * L1 * L1);
  const b = add(mul(payload, L1 * L2), M2 * L1 * S2);
  const d = add(mul(payload, L2 * L2), I2);
  const [w1, w2] = [column(speeds, 0), column(speeds, 1)];
  const elbow = column(angles, 1);
  const bc = mul(b, cos(elbow));
  const bs = mul(b, sin(elbow));
  const [m11, m12] = [add(a, mul(bc, 2)), add(d, bc)];
  const f1 = sub(add(column(torques, 0), mul(bs, mul(w2, add(mul(w1, 2), w2)))), add(mul(w1, FRICTION), mul(w2, COUPLED)));
  const f2 = sub(sub(column(torques, 1), mul(bs, mul(w1, w1))), add(mul(w1, COUPLED), mul(w2, FRICTION)));
  const det = sub(mul(m11, d), mul(m12, m12));
  return div(cat([sub(mul(d, f1), mul(m12, f2)), sub(mul(m11, f2), mul(m12, f1))], 1), det);
}

/** One step of Runge and Kutta's fourth order, with the torques held. */
function move(joints: Joints, torques: Tensor, payload: Tensor): Joints {
  const slope = (j: Joints): Joints => ({ angles: j.speeds, speeds: accelerations(j, torques, payload) });
  const along = (k: Joints, h: number): Joints => ({
    angles: add(joints.angles, mul(k.angles, h)),
    speeds: add(joints.speeds, mul(k.speeds, h)),
  });
  const k1 = slope(joints);
  const k2 = slope(along(k1, STEP / 2));
  const k3 = slope(along(k2, STEP / 2));
  const k4 = slope(along(k3, STEP));
  const sum = (part: "angles" | "speeds") => add(add(k1[part], k4[part]), mul(add(k2[part], k3[part]), 2));
  return along({ angles: sum("angles"), speeds: sum("speeds") }, STEP / 6);
}

/** Where the hand is [B,2] in metres. */
function hand(angles: Tensor): Tensor {
  const [shoulder, both] = [column(angles, 0), add(column(angles, 0), column(angles, 1))];
  return cat([add(mul(cos(shoulder), L1), mul(cos(both), L2)), add(mul(sin(shoulder), L1), mul(sin(both), L2))], 1);
}

/** Where the hand is for two angles. */
export function handAt([shoulder, elbow]: readonly [number, number]): [number, number] {
  const both = shoulder + elbow;
  return [L1 * Math.cos(shoulder) + L2 * Math.cos(both), L1 * Math.sin(shoulder) + L2 * Math.sin(both)];
}

/** Steps of a hundredth of a second: goal angles and payload [B,3] go in, the hand's place and the torques [B,4] come out. */
export class Arm extends Cell<ArmState> {
  readonly inputSize = 3;
  readonly outputSize = 4;
  readonly policy: Policy;

  constructor(policy: Policy) {
    super();
    this.policy = policy;
  }

  initialState(batch: number): ArmState {
    const angles = add(zeros([batch, 2]), cat([add(zeros([batch, 1]), START[0]), add(zeros([batch, 1]), START[1])], 1));
    return { angles, speeds: zeros([batch, 2]), memory: zeros([batch, this.policy.hiddenSize]) };
  }

  step(x: Tensor, { angles, speeds, memory }: ArmState): [y: Tensor, next: ArmState] {
    const goal = slice(x, 1, 0, 2);
    const [wanted, after] = this.policy.act({ goal, angles, speeds }, memory);
    const torques = mul(tanh(div(wanted, MOST)), MOST);
    const next = move({ angles, speeds }, torques, slice(x, 1, 2, 3));
    return [cat([hand(next.angles), torques], 1), { ...next, memory: after }];
  }
}
