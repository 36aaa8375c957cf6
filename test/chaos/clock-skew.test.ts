import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { definePipeline, Memento, type Pipeline } from "@mementojs/memento";
import { systemClock, type Clock } from "@mementojs/memento/core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

import { requireEngine } from "../harness/engines.ts";
import { NETWORKED_ENGINES } from "./engines.ts";

const DAY_MS = 86_400_000;
const keys = { raw: [new Uint8Array(32).fill(7)] };

/** A machine whose clock is wrong. */
const skewed = (ms: number): Clock => ({ ...systemClock, now: () => systemClock.now() + ms });

/** A gate that a stage waits at, and word that it has come there. */
class Gate {
  readonly reached = Promise.withResolvers<void>();
  readonly opened = Promise.withResolvers<void>();

  async pass(): Promise<void> {
    this.reached.resolve();
    await this.opened.promise;
  }
}

/** Three stages, of which the second waits at a gate where one is given. */
const pipelineAt = (gate: Gate | null, ran: string[], who: string): Pipeline =>
  definePipeline({
    name: "skew",
    version: "1",
    stages: (stage) => {
      const first = stage.task("first", () => void ran.push(`${who} first`));
      const second = stage.task("second", { after: { first } }, async () => {
        await gate?.pass();
        ran.push(`${who} second`);
      });
      return [first, second, stage.task("third", { after: { second } }, () => void ran.push(`${who} third`))];
    },
  });

/** An engine that lends fresh places; SQLite stands for one machine whose clock is set. */
interface Lender extends AsyncDisposable {
  place(): Promise<string>;
}

const lenders: (readonly [name: string, start: () => Promise<Lender>])[] = [
  [
    "SQLite",
    async () => {
      const folder = mkdtempSync(path.join(tmpdir(), "memento-skew-"));
      let places = 0;
      return {
        place: async () => `sqlite:${folder}/store-${(places += 1)}.db`,
        [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true }),
      };
    },
  ],
];
for (const { name, probe, start } of NETWORKED_ENGINES) {
  if (!(await requireEngine(name, probe))) continue;
  lenders.push([
    name,
    async () => {
      const running = await start();
      for (const [variable, value] of Object.entries(running.environment)) vi.stubEnv(variable, value);
      return {
        place: async () => (await running.place())(),
        [Symbol.asyncDispose]: async () => {
          vi.unstubAllEnvs();
          await running[Symbol.asyncDispose]();
        },
      };
    },
  ]);
}

describe.each(lenders)("%s: a worker whose clock is a day wrong", (_name, start) => {
  let lender: Lender;

  beforeAll(async () => {
    lender = await start();
  });
  afterAll(async () => {
    await lender[Symbol.asyncDispose]();
  });

  test.each([
    ["ahead takes over from a live one, which is fenced", 0, DAY_MS],
    ["behind holds a lease that is over for all others, and is fenced", -DAY_MS, 0],
  ])("%s; each stage counts once", async (_what, holderSkew, takerSkew) => {
    const url = await lender.place();
    await using holder = await Memento.open(url, { keys, clock: skewed(holderSkew) });
    await using taker = await Memento.open(url, { keys, clock: skewed(takerSkew) });
    const gate = new Gate();
    const ran: string[] = [];
    // Its own look at the lease is switched off: the store is what refuses it.
    const held = holder.run(pipelineAt(gate, ran, "holder"), { key: "one", selfCheck: false });
    const refused = expect(held).rejects.toMatchObject({ code: "FENCED" });
    await Promise.race([gate.reached.promise, held]);
    expect(await taker.run(pipelineAt(null, ran, "taker"), { key: "one" })).toMatchObject({ status: "completed" });
    gate.opened.resolve();
    await refused;
    expect(ran).toEqual(["holder first", "taker second", "taker third", "holder second"]);
    const entries = (await Array.fromAsync(taker.history({ name: "skew" }))).toReversed();
    expect(entries.map(({ sequence }) => sequence)).toEqual(entries.map((_, index) => index + 1));
    expect(entries.map(({ epoch }) => epoch)).toEqual(entries.map(({ epoch }) => epoch).toSorted((a, b) => a - b));
    expect(entries.filter(({ status }) => status === "completed").length).toBe(1);
    expect(await taker.verify()).toMatchObject({ sound: true });
  });

  test("behind waits for a lease that the others see as over, and harms nobody", async () => {
    const url = await lender.place();
    await using holder = await Memento.open(url, { keys });
    await using late = await Memento.open(url, { keys, clock: skewed(-DAY_MS) });
    const gate = new Gate();
    const ran: string[] = [];
    const held = holder.run(pipelineAt(gate, ran, "holder"), { key: "one" });
    await Promise.race([gate.reached.promise, held]);
    await expect(late.run(pipelineAt(null, ran, "late"), { key: "one" })).rejects.toMatchObject({ code: "LOCKED" });
    gate.opened.resolve();
    expect(await held).toMatchObject({ status: "completed" });
    expect(await late.run(pipelineAt(null, ran, "late"), { key: "one" })).toMatchObject({ alreadyDone: true });
    expect(ran).toEqual(["holder first", "holder second", "holder third"]);
  });
});
