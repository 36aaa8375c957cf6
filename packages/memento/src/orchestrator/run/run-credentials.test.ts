import { describe, expect, test } from "vitest";

import { moody } from "../../../../../test/harness/moody-store.ts";
import { bench, numbers, rowsOf, upTo, type Bench, type Row } from "../../../../../test/harness/number-runs.ts";
import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { fromFunction } from "../credentials/environment.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { memorySink } from "../sinks/index.ts";
import type { Sink } from "../sinks/sink.ts";
import { PIECE } from "./run-state.ts";

const LIFETIME_MS = 10_000;
const RECORDS = 60;

/** A service that gives tokens, and counts what it gave and what it was shown. */
class TokenService {
  given = 0;
  away = false;
  readonly shown: string[] = [];
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  get newest(): string {
    return `token-number-${this.given}`;
  }

  async give(): Promise<{ value: string; expiresAt: number }> {
    if (this.away) throw new Error("no tokens today, not even token-number-9");
    this.given += 1;
    return { value: this.newest, expiresAt: this.#clock.now() + LIFETIME_MS };
  }
}

interface World extends Bench {
  readonly clock: ManualClock;
  readonly tokens: TokenService;
  readonly opened: string[];
  /** Loads numbers; each record takes a second. */
  readonly pipeline: Pipeline;
}

async function world(options: { seal?: boolean; awayAt?: number; failAt?: number } = {}): Promise<World> {
  const clock = new ManualClock();
  const tokens = new TokenService(clock);
  const made = await bench(clock);
  const opened: string[] = [];
  let fails = options.failAt ?? 0;
  const pipeline = definePipeline({
    name: "load",
    version: "1",
    batchRecords: 2,
    credentials: { api: fromFunction("api:write", async () => await tokens.give(), { seal: options.seal ?? false }) },
    sources: {
      numbers: ({ credentials }) => {
        opened.push(`source with ${credentials.api.value}`);
        return numbers(RECORDS, {
          before: (n) => {
            clock.setNow(clock.now() + 1_000);
            if (n === options.awayAt) tokens.away = true;
            if (n !== fails) return;
            fails = 0;
            throw new Error("the source breaks once");
          },
        });
      },
    },
    sinks: {
      table: ({ credentials }): Sink<Row> => {
        const table = memorySink<Row>({ table: made.data });
        const [open, write] = [table.open.bind(table), table.write.bind(table)];
        return Object.assign(table, {
          open: async (context: Parameters<Sink["open"]>[0]) => {
            opened.push(`sink with ${credentials.api.value}`);
            await open(context);
          },
          write: async (...args: Parameters<Sink<Row>["write"]>) => {
            tokens.shown.push(credentials.api.value);
            return await write(...args);
          },
        });
      },
    },
    stages: (stage) => {
      const read = stage.read("read", { source: "numbers" });
      return [read, stage.write("write", { after: read, sink: "table" })];
    },
  });
  return { ...made, clock, tokens, opened, pipeline };
}

describe("a credential that expires in the middle of a run", () => {
  test("is renewed before it expires, and what was built with it is opened anew; every record arrives once", async () => {
    const { memento, pipeline, data, tokens, opened } = await world();
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed", credential: null });
    expect(rowsOf(data)).toEqual(upTo(RECORDS));
    expect(tokens.given).toBeGreaterThan(4);
    expect(new Set(tokens.shown).size).toBe(tokens.given);
    expect(opened.filter((text) => text.startsWith("source")).length).toBe(tokens.given);
    expect(opened.filter((text) => text.startsWith("sink")).length).toBe(tokens.given);
  });

  test("one that cannot be renewed pauses the run by its name, between two batches; it goes on to the right end", async () => {
    const { memento, pipeline, data, tokens } = await world({ awayAt: 21 });
    const paused = await memento.run(pipeline);
    expect(paused).toMatchObject({ status: "paused", credential: { name: "api" }, waitingFor: null });
    expect(paused.credential?.problem).toContain("could not be acquired from function");
    const head = await memento.vault.load(paused.head);
    expect(head.entry).toMatchObject({ status: "paused", reason: "credential" });
    expect(JSON.stringify(head.fields())).not.toContain("token-number");
    // Still away: the run stays paused, and says so without another memento.
    expect(await memento.run(pipeline, { resume: true })).toMatchObject({ status: "paused", head: paused.head });
    expect(rowsOf(data)).toEqual(upTo(rowsOf(data).length));
    tokens.away = false;
    const done = await memento.run(pipeline);
    expect(done).toMatchObject({ status: "completed", resumed: true, credential: null });
    expect(rowsOf(data)).toEqual(upTo(RECORDS));
  });
});

describe("a run that waits for a credential", () => {
  /** Paused by the name of its credential, which is there again. */
  async function waiting(): Promise<World & { readonly head: string }> {
    const made = await world({ awayAt: 21 });
    const { head, credential } = await made.memento.run(made.pipeline);
    expect(credential).toMatchObject({ name: "api" });
    made.tokens.away = false;
    return { ...made, head };
  }

  test("goes on by itself after an edit too: nobody has paused it", async () => {
    const { memento, pipeline, data } = await waiting();
    await memento.edit(pipeline, { edits: [{ path: "state.price", value: 3 }] });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(data)).toEqual(upTo(RECORDS));
  });

  test.each([{}, { only: ["state"] }])("goes on by itself after a rollback to it of %j", async (chosen) => {
    const { memento, pipeline, data, head } = await waiting();
    const plan = await memento.plan(pipeline, head, chosen);
    await memento.rollback(pipeline, head, { plan: plan.hash, ...chosen });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(data)).toEqual(upTo(RECORDS));
  });

  test("goes on by itself where the code's schema is newer, and the credential is away once more", async () => {
    const { memento, store, pipeline, data, tokens } = await waiting();
    await memento.edit(pipeline, { edits: [{ path: "state.price", value: 3 }] });
    tokens.away = true;
    const again = await memento.run(pipeline, { resume: true });
    expect(again).toMatchObject({ status: "paused", credential: { name: "api" } });
    const newer: Pipeline = {
      ...pipeline,
      schema: { id: "s", version: 2, upcasters: { 1: (state: object) => state } },
    };
    const append = store.append.bind(store);
    let appended = 0;
    // What comes after the upcast is never saved.
    store.append = async (batch) => {
      if (appended === 1) throw new Error("the process is killed here");
      appended += 1;
      return await append(batch);
    };
    await expect(memento.run(newer)).rejects.toThrow("the process is killed here");
    store.append = append;
    tokens.away = false;
    expect(await memento.run(newer)).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(data)).toEqual(upTo(RECORDS));
  });
});

describe("a credential that expires between a save and a restore", () => {
  test("is acquired anew before the first read", async () => {
    const { memento, pipeline, data, tokens, clock, opened } = await world({ failAt: 15 });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    clock.setNow(clock.now() + 10 * LIFETIME_MS);
    opened.length = 0;
    const given = tokens.given;
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed", resumed: true });
    expect(opened[0]).toBe(`source with token-number-${given + 1}`);
    expect(rowsOf(data)).toEqual(upTo(RECORDS));
  });

  test("one that cannot be had pauses the unfinished run by name, before anything is read", async () => {
    const { memento, pipeline, data, tokens, clock, opened } = await world({ failAt: 15 });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    clock.setNow(clock.now() + 10 * LIFETIME_MS);
    tokens.away = true;
    opened.length = 0;
    const paused = await memento.run(pipeline);
    expect(paused).toMatchObject({ status: "paused", credential: { name: "api" } });
    expect((await memento.vault.load(paused.head)).entry).toMatchObject({ reason: "credential", resumeCount: 0 });
    expect(opened).toEqual([]);
    tokens.away = false;
    expect(await memento.run(pipeline, { resume: true })).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(data)).toEqual(upTo(RECORDS));
  });

  test("a rollback without it changes nothing", async () => {
    const { memento, pipeline, data, tokens } = await world();
    const { head } = await memento.run(pipeline);
    tokens.away = true;
    await expect(memento.plan(pipeline, "start")).rejects.toMatchObject({ code: "CREDENTIAL_UNAVAILABLE" });
    const rollback = memento.rollback(pipeline, "start", { plan: "x" });
    await expect(rollback).rejects.toMatchObject({ code: "CREDENTIAL_UNAVAILABLE" });
    expect(rowsOf(data)).toEqual(upTo(RECORDS));
    for await (const { id } of memento.history(pipeline)) {
      expect(id).toBe(head);
      break;
    }
  });
});

describe("P4 secret: a credential with seal: true", () => {
  test("resumes a run whose provider is gone, until it expires; no piece, record or event shows it", async () => {
    const { memento, store, pipeline, data, tokens, clock, events, onEvent } = await world({ seal: true, failAt: 15 });
    await expect(memento.run(pipeline, { onEvent })).rejects.toMatchObject({ code: "STAGE_FAILED" });
    tokens.away = true;
    const paused = await memento.run(pipeline, { onEvent });
    // It went on with the value that the memento kept, until that had expired too.
    expect(paused).toMatchObject({ status: "paused", resumed: true, credential: { name: "api" } });
    expect(rowsOf(data).length).toBeGreaterThan(0);
    const texts = [JSON.stringify(events)];
    for await (const { id } of memento.history(pipeline)) {
      const opened = await memento.vault.load(id);
      texts.push(JSON.stringify([opened.fields(), [...(await opened.values(""))]]));
    }
    for await (const { header, body } of store.commits(null))
      texts.push(Buffer.concat([header, body ?? new Uint8Array()]).toString("latin1"));
    expect(texts.join("")).toContain(PIECE.sealed);
    for (const text of texts) expect(text).not.toContain("token-number");
    clock.setNow(clock.now() + LIFETIME_MS);
    tokens.away = false;
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
    expect(rowsOf(data)).toEqual(upTo(RECORDS));
  });

  test("what a memento that failed was to keep is in the next one", async () => {
    const clock = new ManualClock();
    const tokens = new TokenService(clock);
    const mood = moody(await MemoryStore.open());
    await using memento = await Memento.open(mood.store, { keys: { raw: [new Uint8Array(32).fill(7)] }, clock });
    const pipeline = definePipeline({
      name: "slow",
      version: "1",
      credentials: { api: fromFunction("api:write", async () => await tokens.give(), { seal: true }) },
      stages: (stage) => [
        stage.task("wait", async ({ checkpoint }) => {
          await clock.tick(0.9 * LIFETIME_MS);
          await checkpoint();
          await clock.tick(0.9 * LIFETIME_MS);
          mood.fails = "STORE_UNREACHABLE";
          await expect(checkpoint()).rejects.toMatchObject({ code: "STORE_UNREACHABLE" });
          mood.fails = null;
        }),
      ],
    });
    const began = clock.now();
    const { head } = await memento.run(pipeline);
    const opened = await memento.vault.load(head);
    // Each is renewed once a fifth of its life is left.
    const expires = new Date(began + 2.6 * LIFETIME_MS).toISOString();
    expect(await opened.value(`${PIECE.sealed}api`)).toMatchObject({ expires });
    expect(await opened.value(PIECE.credentials)).toMatchObject({ api: { expires } });
  });

  test("a pipeline that does not ask any more leaves none in its next run", async () => {
    const { memento, pipeline } = await world({ seal: true });
    const first = await memento.run(pipeline);
    expect((await memento.vault.load(first.head)).keys(PIECE.sealed)).toEqual([`${PIECE.sealed}api`]);
    const credentials = { api: fromFunction("api:write", async () => "token-number-0 for ever") };
    const second = await memento.run({ ...pipeline, credentials });
    expect((await memento.vault.load(second.head)).keys(PIECE.sealed)).toEqual([]);
  });
});
