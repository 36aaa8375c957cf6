import { describe, expect, test } from "vitest";

import { memorySink } from "../../orchestrator/sinks/memory-sink.ts";
import { MemoryTable } from "../../orchestrator/sinks/memory-table.ts";
import type { Sink } from "../../orchestrator/sinks/sink.ts";
import type { KitRow, SinkPlace } from "./kit.ts";
import { testSink } from "./sink-kit.ts";

type Breaks = (sink: Sink<KitRow>) => Partial<Sink<KitRow>>;

/** Runs the kit on a memory sink of which something is replaced; gives the full names of the tests that fail. */
async function failuresOf(breaks: Breaks, knownGaps: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const failed: string[] = [];
  const runs: (() => Promise<void>)[] = [];
  let group = "";
  testSink({
    describe: (name, declare) => {
      group = name;
      declare();
      group = "";
    },
    test: (name, run) => {
      const fullName = group === "" ? name : `${group} > ${name}`;
      runs.push(async () => {
        await run().catch(() => failed.push(fullName));
      });
    },
    mode: "upsert",
    place: async () => brokenPlace(breaks),
    badRow: { row: { id: "bad", amount: () => 1 }, code: "UNSUPPORTED_VALUE" },
    knownGaps,
  });
  for (const run of runs) await run();
  return failed;
}

function brokenPlace(breaks: Breaks): SinkPlace {
  const table = new MemoryTable<KitRow>();
  return {
    sink: () => {
      const sink = memorySink<KitRow>({ table, key: ({ id }) => id });
      const sound: Sink<KitRow> = {
        kind: sink.kind,
        supports: sink.supports,
        describe: () => sink.describe(),
        open: async (context) => await sink.open(context),
        place: async () => await sink.place(),
        fence: async (epoch) => await sink.fence(epoch),
        mark: async () => await sink.mark(),
        write: async (rows, write) => await sink.write(rows, write),
        inspect: async (mark) => await sink.inspect(mark),
        revertTo: async (mark, write, options) => await sink.revertTo(mark, write, options),
        trim: async (oldest) => await sink.trim(oldest),
        close: async () => await sink.close(),
      };
      return { ...sound, ...breaks(sink) };
    },
    read: async () => new Map([...table.items].map(([item, row]) => [`rows[${JSON.stringify(item)}]`, row])),
    meddle: async (item, row) => table.set(JSON.parse(item.slice(5, -1)) as string, row),
    address: "",
    dispose: async () => undefined,
  };
}

let fresh = 0;

describe("testSink()", () => {
  test("finds nothing wrong with a sound sink", async () => {
    expect(await failuresOf(() => ({}))).toEqual([]);
  });

  test.each<[string, Breaks, string]>([
    [
      "counts a token each time",
      (sink) => ({ write: async (rows, write) => await sink.write(rows, { ...write, token: `fresh ${fresh++}` }) }),
      "write() > counts a token once across a takeover",
    ],
    [
      "forgets tokens when it is opened",
      (sink) => {
        const seen = fresh++;
        return { write: async (rows, write) => await sink.write(rows, { ...write, token: `${seen} ${write.token}` }) };
      },
      "write() > counts a token once across a takeover",
    ],
    [
      "lets every epoch write",
      (sink) => ({ write: async (rows, write) => await sink.write(rows, { ...write, epoch: 1_000 }) }),
      "fence() > refuses a lower epoch in write, revertTo and fence",
    ],
    [
      "reverts what others changed",
      (sink) => ({ revertTo: async (mark, write) => await sink.revertTo(mark, write, { force: true }) }),
      "foreign changes > names and keeps a row that was changed",
    ],
    [
      "never forces",
      (sink) => ({ revertTo: async (mark, write) => await sink.revertTo(mark, write, { force: false }) }),
      "foreign changes > takes them with force, after which none are left",
    ],
    [
      "repeats a revert",
      (sink) => ({
        revertTo: async (mark, write, options) =>
          await sink.revertTo(mark, { ...write, token: `fresh ${fresh++}` }, options),
      }),
      "revertTo() > does nothing more when its token comes again",
    ],
    [
      "reverts to nothing, whatever the mark",
      (sink) => ({ revertTo: async (_, write, options) => await sink.revertTo(null, write, options) }),
      "random writes and reverts, each to the state of its mark > sequence 1",
    ],
    [
      "inspects by reverting",
      (sink) => ({
        inspect: async (mark) => {
          const inspection = await sink.inspect(mark);
          await sink.revertTo(mark, { epoch: 1, token: `fresh ${fresh++}` }, { force: false });
          return inspection;
        },
      }),
      "inspect() > says what revertTo would do, and changes nothing",
    ],
    [
      "has one fingerprint for all",
      (sink) => ({ inspect: async (mark) => ({ ...(await sink.inspect(mark)), fingerprint: "same" }) }),
      "inspect() > gives a fingerprint that moves with every write and foreign change, and with nothing else",
    ],
    [
      "does not trim",
      () => ({ trim: async () => undefined }),
      "trim() > forgets the way back to before a mark, and nothing else",
    ],
    [
      "takes another timeline's rows for its own",
      (sink) => ({ open: async (context) => await sink.open({ ...context, timeline: "all" }) }),
      "timelines > never touch each other's rows",
    ],
  ])("finds a sink that %s", async (_, breaks, name) => {
    const failed = await failuresOf(breaks);
    expect(failed).toContain(name);
  });

  test("does not run a known gap, and fails for one that names no test", async () => {
    const gap = "trim() > forgets the way back to before a mark, and nothing else";
    const breaks: Breaks = () => ({ trim: async () => undefined });
    const failed = await failuresOf(breaks, { [gap]: "not built yet", "no such test": "" });
    expect(failed).not.toContain(gap);
    expect(failed).toContain("every known gap names a test");
  });
});
