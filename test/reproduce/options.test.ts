import { describe, expect, it } from "vitest";
import { type Experiment, FIRST_COUNTED } from "../../reproduce/experiment.ts";
import { chosen, parse, USAGE } from "../../reproduce/options.ts";
import { experiments } from "../../reproduce/table.ts";
import { UserError } from "../../src/cli/errors.ts";

describe("the command line", () => {
  it("takes names, seeds and threads", () => {
    const call = parse(["lstm-", "jordan", "--seeds", "100..102,107", "--threads", "3", "--json"]);
    expect(call).toMatchObject({ names: ["lstm-", "jordan"], seeds: [100, 101, 102, 107], threads: 3, json: true, record: false });
  });

  it("leaves one core to others and the seeds to the claim unless told", () => {
    const { seeds, threads } = parse(["jordan"]);
    expect(seeds).toBeNull();
    expect(threads).toBeGreaterThanOrEqual(1);
  });

  it.each([
    [["--foo"], "Unknown option '--foo'"],
    [["--jobs", "2"], "Unknown option '--jobs'"],
    [["--seeds"], "'--seeds <value>' argument missing"],
    [["--seeds", "five"], '--seeds: expected seeds like 100..119 or 100,101,107, got "five"'],
    [["--threads", "0"], '--threads: expected a whole number from 1, got "0"'],
    [["a", "--record", "--seeds", "3..104"], "--record: expected seeds from 100 on, on which nothing was tuned, got 3"],
    [["a", "--tune", "--seeds", "100"], "--tune: expected no --seeds"],
    [["a", "--extend", "--seeds", "3..104"], "--extend: expected seeds from 100 on"],
    [["a", "--tune", "--record"], "--tune: expected neither --record nor --extend"],
    [["a", "--tune", "--extend"], "--tune: expected neither --record nor --extend"],
    [["a", "--record", "--extend"], "--extend: expected no --record"],
  ])("refuses %j", (args, message) => {
    expect(() => parse(args)).toThrow(UserError);
    expect(() => parse(args)).toThrow(message);
  });

  it("says in its help what there is", () => {
    for (const option of ["--list", "--all", "--catalogue", "--seeds", "--threads", "--record", "--extend", "--tune", "--json", "--help"])
      expect(USAGE).toContain(option);
    expect(USAGE).toContain(String(FIRST_COUNTED));
  });

  it("finds experiments by name, by the beginning of names, and each once", () => {
    const names = (...given: string[]) => chosen({ names: given, all: false }, experiments).map((e: Experiment) => e.name);
    expect(names("ind-rnn-adding-100")).toEqual(["ind-rnn-adding-100"]);
    expect(names("ctrnn-", "ctrnn-sine")).toEqual(["ctrnn-hopf", "ctrnn-chaos", "ctrnn-solver-order", "ctrnn-sine"]);
    expect(() => names("ctr", "nothing")).toThrow('there is no experiment "nothing"');
    expect(chosen({ names: [], all: true }, experiments)).toBe(experiments);
  });
});
