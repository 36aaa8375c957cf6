import { systemClock, type Clock } from "@mementojs/memento/core";
import { describe, expect, test } from "vitest";

import type { Output } from "../io.ts";
import { ProgressLine, progressText, type ProgressFacts } from "./progress-line.ts";
import { styleOf } from "./style.ts";
import { displayWidth } from "./width.ts";

const plain = styleOf({ colours: false });
const facts: ProgressFacts = {
  label: "load 4/5",
  done: 50_000,
  total: 200_000,
  unit: "records",
  perSecond: 25_000,
  elapsedMs: 2_000,
  frame: 0,
};

describe("progressText()", () => {
  test("has a bar, the share, the rate and the time left", () => {
    expect(progressText(facts, plain, 100)).toBe(
      "load 4/5  ━━━━━━──────────────────  25%  50,000 of 200,000 records  25,000/s  6 s left",
    );
  });

  test("says of a total that is judged that it is", () => {
    expect(progressText({ ...facts, isEstimate: true }, plain, 100)).toContain("50,000 of about 200,000 records");
  });

  test("says what is known where nobody knows the end", () => {
    expect(progressText({ ...facts, total: null }, plain, 100)).toBe("⠋ load 4/5  50,000 records  25,000/s  2 s");
    expect(progressText({ ...facts, total: null, perSecond: null, elapsedMs: 100 }, plain, 100)).toBe(
      "⠋ load 4/5  50,000 records",
    );
  });

  test.each([[12], [20], [30], [50], [70], [200]])("fits into %i columns, whatever its label", (columns) => {
    for (const label of [facts.label, "読み込みデータ変換ステージの名前 1/3", "a stage whose name goes on and on 1/3"])
      for (const total of [facts.total, null])
        expect(displayWidth(progressText({ ...facts, label, total }, plain, columns))).toBeLessThanOrEqual(columns);
  });

  test("a count past its total is all of it", () => {
    expect(progressText({ ...facts, done: 300_000 }, plain, 100)).toContain("100%");
  });
});

interface Written {
  readonly text: string[];
  readonly err: Output;
  readonly clock: Clock;
  beat(): void;
}

function terminal(isTerminal: boolean): Written {
  const text: string[] = [];
  const ticks: (() => void)[] = [];
  let elapsed = 0;
  const clock: Clock = {
    ...systemClock,
    monotonic: () => elapsed,
    every: (_ms, tick) => {
      ticks.push(tick);
      return () => void ticks.splice(ticks.indexOf(tick), 1);
    },
  };
  const beat = (): void => {
    elapsed += 100;
    for (const tick of ticks) tick();
  };
  return {
    text,
    err: { isTerminal, columns: 80, colours: false, write: (piece) => void text.push(piece) },
    clock,
    beat,
  };
}

describe("ProgressLine", () => {
  test("draws at its own beat, however often it is told", () => {
    const world = terminal(true);
    using line = new ProgressLine(world);
    for (let done = 0; done < 1_000; done++) line.update({ label: "read", done, total: 1_000, unit: "records" });
    expect(world.text).toEqual([]);
    world.beat();
    expect(world.text).toHaveLength(1);
    expect(world.text[0]).toContain("999 of 1,000 records");
  });

  test("clears its line for a note and at its end", () => {
    const world = terminal(true);
    const line = new ProgressLine(world);
    line.update({ label: "read", done: 1, total: null, unit: "records" });
    world.beat();
    line.note("hello");
    expect(world.text.slice(1)).toEqual(["\r\u001b[2K", "hello\n"]);
    world.beat();
    line[Symbol.dispose]();
    expect(world.text.at(-1)).toBe("\r\u001b[2K");
    const length = world.text.length;
    world.beat();
    expect(world.text).toHaveLength(length);
  });

  test("writes notes only where there is no terminal", () => {
    const world = terminal(false);
    using line = new ProgressLine(world);
    line.update({ label: "read", done: 1, total: 2, unit: "records" });
    world.beat();
    line.note("stage read started");
    expect(world.text).toEqual(["stage read started\n"]);
  });
});
