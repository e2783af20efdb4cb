/** Cases of a business process: from a log, or made. */

import { Dice } from "../../reproduce/tasks/dice.ts";

export interface Event {
  readonly activity: number;
  /** Days since 1970. */
  readonly time: number;
}

/** The events of one case, in order of time. */
export type Case = readonly Event[];

export interface Log {
  readonly cases: readonly Case[];
  readonly activities: readonly string[];
}

/** Reads lines `case,activity,time` under a heading, the events of a case one after another. */
export function readLog(text: string): Log {
  const rows = text
    .trim()
    .split(/\r?\n/)
    .slice(1)
    .map((line) => line.split(","));
  const activities = [...new Set(rows.map(([, activity = ""]) => activity))].sort();
  const cases = new Map<string, Event[]>();
  for (const [id = "", activity = "", time = ""] of rows) {
    const event = { activity: activities.indexOf(activity), time: Date.parse(`${time.replace(" ", "T")}Z`) / 86_400_000 };
    cases.set(id, [...(cases.get(id) ?? []), event]);
  }
  return { cases: [...cases.values()], activities };
}

const ACTIVITIES = [
  "web order",
  "mail order",
  "check stock",
  "reserve",
  "produce",
  "ask customer",
  "pack",
  "ship",
  "invoice",
  "complaint",
  "paid",
];
/** Median days that each activity takes. */
const DAYS = [0, 0, 0.3, 0.5, 4, 1.5, 0.5, 1, 2, 3, 0];

/**
 * Orders, from their arrival to the money. What was produced is often complained about, what came from stock hardly ever, and orders by mail are
 * paid late; both show many events later, with questions to the customer between.
 */
export function orders(seed: number, count: number): Log {
  const dice = new Dice(seed);
  let start = Date.UTC(2024, 0, 1) / 86_400_000;
  const cases = Array.from({ length: count }, () => {
    start += dice.uniform(0, 0.2);
    return order(dice, start);
  });
  return { cases, activities: ACTIVITIES };
}

function order(dice: Dice, start: number): Event[] {
  const events: Event[] = [];
  let time = start;
  const happens = (name: string, pace = 1) => {
    const activity = ACTIVITIES.indexOf(name);
    time += pace * (DAYS[activity] as number) * Math.exp(dice.normal(0, 0.5));
    events.push({ activity, time });
  };
  const maybeAsk = () => {
    while (dice.chance(0.3)) happens("ask customer");
  };
  const byMail = dice.chance(0.4);
  happens(byMail ? "mail order" : "web order");
  happens("check stock");
  const isProduced = dice.chance(0.45);
  let isComplete = false;
  while (!isComplete) {
    happens(isProduced ? "produce" : "reserve");
    maybeAsk();
    happens("pack");
    maybeAsk();
    happens("ship");
    isComplete = !dice.chance(isProduced ? 0.55 : 0.05);
    if (!isComplete) happens("complaint");
  }
  happens("invoice");
  time += (byMail ? 12 : 3) * Math.exp(dice.normal(0, 0.4));
  happens("paid");
  return events;
}
