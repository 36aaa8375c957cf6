import { describe, expect, test } from "vitest";

import { systemClock } from "../../core/ports.ts";
import { memorySink } from "../../orchestrator/sinks/memory-sink.ts";
import { chaosSink } from "./chaos-sink.ts";

const context = { timeline: "one", name: "out", clock: systemClock, signal: new AbortController().signal };
const by = (token: string): { epoch: number; token: string } => ({ epoch: 1, token });

describe("chaosSink()", () => {
  test("calls its hooks before and after each call of the contract", async () => {
    const seen: string[] = [];
    const sink = chaosSink(memorySink<number>(), {
      before: (call) => void seen.push(`before ${call}`),
      after: async (call) => void seen.push(`after ${call}`),
    });
    await sink.open(context);
    await sink.fence(1);
    await sink.write([1, 2], by("t"));
    const mark = await sink.mark();
    await sink.place();
    await sink.inspect(null);
    await sink.revertTo(null, by("r"), { force: false });
    await sink.trim(mark);
    await sink.close();
    const calls = ["open", "fence", "write", "mark", "place", "inspect", "revertTo", "trim", "close"];
    expect(seen).toEqual(calls.flatMap((call) => [`before ${call}`, `after ${call}`]));
    expect([sink.kind, sink.describe(), sink.supports.tokens]).toEqual(["memory", "rows in memory", true]);
  });

  test("a hook before that throws keeps the call from the sink; one after loses its answer", async () => {
    const inner = memorySink<number>();
    let fails = "";
    const hook = (when: string) => (call: string) => {
      if (fails === `${when} ${call}`) throw new Error(fails);
    };
    const sink = chaosSink(inner, { before: hook("before"), after: hook("after") });
    await sink.open(context);
    fails = "before write";
    await expect(sink.write([1], by("t1"))).rejects.toThrow(fails);
    expect(inner.table.rows).toEqual([]);
    fails = "after write";
    await expect(sink.write([1], by("t1"))).rejects.toThrow(fails);
    expect(inner.table.rows).toEqual([1]);
    fails = "";
    expect(await sink.write([1], by("t1"))).toMatchObject({ duplicate: true });
  });
});
