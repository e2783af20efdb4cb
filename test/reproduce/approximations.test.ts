import { expect, it } from "vitest";
import { approximations } from "../../reproduce/experiments/approximations.ts";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { mackeyGlass } from "../../reproduce/tasks/mackey-glass.ts";
import { shortForms } from "./short-forms.ts";

shortForms(approximations);

it("the Mackey-Glass series moves within its known bounds and does not settle", () => {
  const xs = mackeyGlass(new Dice(1), 2000);
  expect(xs.length).toBe(2000);
  expect(Math.min(...xs)).toBeGreaterThan(0.2);
  expect(Math.max(...xs)).toBeLessThan(1.5);
  const late = xs.slice(1500);
  expect(Math.max(...late) - Math.min(...late)).toBeGreaterThan(0.7);
});
