import process from "node:process";

import { definePipeline, isMementoError, Memento, type Pipeline } from "@mementojs/memento";
import { iterableSource } from "@mementojs/memento/sources";
import { openStore, type MementoStore } from "@mementojs/memento/store";
import { SqliteStore } from "@mementojs/memento/stores/sqlite";

import { CallCounter, type KillPoint } from "./killing.ts";

/** What a process is to do to a store that others collect garbage in. */
export interface GcTask {
  readonly store: string;
  readonly keyFile: string;
  readonly action: "save" | "restore" | "collect" | "erase";
  /** Tells this one apart from others of its kind. */
  readonly name: string;
  /** Goes on until then, by the machine's clock, and for some rounds in any case; 0: once. */
  readonly untilMs: number;
  readonly kill?: KillPoint;
  /** For `erase`. */
  readonly mementos?: readonly string[];
}

/** What a process prints at its end, as its last line. */
export interface GcReport {
  /** Saves that were acknowledged and never removed: id and what the state must be. */
  readonly kept: readonly (readonly [id: string, state: unknown])[];
  readonly done: Readonly<Record<string, number>>;
  readonly calls: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/** Five saves leave one that is kept and four that may be removed. */
const ROUNDS_MIN = { save: 10, restore: 2, erase: 1 } as const;

const task = JSON.parse(process.argv[2] ?? "{}") as GcTask;
const counter = new CallCounter(task.kill ?? null);
const done: Record<string, number> = {};
const kept: [string, unknown][] = [];
const count = (what: string): void => void (done[what] = (done[what] ?? 0) + 1);

/** Rows of some 20 KB of which a few change from version to version: most saves are deltas. */
function rows(version: number): { id: number; text: string }[] {
  return Array.from({ length: 400 }, (_, id) => ({
    id,
    text: id % 40 === version % 40 ? `row ${id} of version ${version}` : `row ${id} has stayed as it was`,
  }));
}

/** A pipeline without sinks: each run reads one number more, and keeps rows in its state. */
function growing(name: string, upTo: number): Pipeline {
  return definePipeline({
    name,
    version: "1",
    sources: {
      ids: () =>
        iterableSource<number>({
          name: "numbers",
          async *records(from) {
            for (let id = Number(from ?? 0) + 1; id <= upTo; id++) yield { record: id, offset: id };
          },
        }),
    },
    stages: (stage) => [
      stage.task("grow", async (context) => {
        for await (const { records } of context.read("ids")) {
          const last = Number(records.at(-1));
          context.state["rows"] = rows(last);
          context.state["last"] = last;
        }
        return context.state["last"] ?? null;
      }),
    ],
  });
}

async function save(memento: Memento, round: number): Promise<void> {
  const caretaker = memento.caretaker("states");
  const state = { rows: rows(round), by: task.name, round };
  const keeps = round % 5 === 0;
  const labels = keeps ? { keep: "yes" } : {};
  const { id } = await caretaker.save(state, { originator: task.name, labels });
  count("saved");
  if (keeps) kept.push([id, state]);
}

async function restore(memento: Memento, round: number): Promise<void> {
  // Whatever is live when it is looked up must load whole, or be found removed by then: never damaged.
  for await (const { id } of memento.caretaker("states").list({ limit: 3 })) {
    try {
      const state = (await memento.caretaker("states").load(id)) as { rows: unknown; round: number };
      if (JSON.stringify(state.rows) !== JSON.stringify(rows(state.round))) throw new Error(`${id} has other content`);
      count("loaded");
    } catch (error) {
      if (!isMementoError(error, "NOT_FOUND")) throw error;
      count("removed meanwhile");
    }
  }
  await memento.run(growing(task.name, round + 1));
  count("run");
  const history = [];
  for await (const entry of memento.history({ name: task.name })) history.push(entry);
  const target = history.at(-1);
  if (target === undefined) return;
  try {
    if (round % 2 === 0) {
      const { hash } = await memento.plan(growing(task.name, round + 1), target.id);
      await memento.rollback(growing(task.name, round + 1), target.id, { plan: hash });
      count("rolled back");
    } else {
      const { entry } = await memento.fork(target.id, { name: `fork-${round}` });
      await memento.vault.load(entry.id);
      count("forked");
    }
  } catch (error) {
    // It was removed between the look and the pin.
    if (!isMementoError(error, "NOT_FOUND")) throw error;
    count("too late");
  }
}

async function collect(memento: Memento): Promise<void> {
  try {
    const { packs, bytes, removed, repacked } = await memento.collect();
    count("collected");
    done["packs"] = (done["packs"] ?? 0) + packs;
    done["bytes"] = (done["bytes"] ?? 0) + bytes + repacked.bytes;
    done["removed"] = (done["removed"] ?? 0) + removed.length;
  } catch (error) {
    // Another one is at work; or took over from this one, which was not heard of for too long on a busy machine.
    const isOthers = isMementoError(error, "LOCKED") || isMementoError(error, "FENCED");
    if (!isOthers || task.untilMs === 0) throw error;
    count("locked");
    await new Promise((resolve) => void setTimeout(resolve, 100));
  }
}

async function erase(memento: Memento): Promise<void> {
  await memento.secureDelete(task.mementos ?? [], { reason: "a test" });
  count("erased");
}

/** On a busy machine the time may be over before anything was done. */
const hasDoneEnough = (rounds: number): boolean =>
  task.action === "collect" ? (done["collected"] ?? 0) > 0 : rounds >= ROUNDS_MIN[task.action];

/** A dozen processes that all write to one database wait for their turns longer than those of a few. */
async function openPatiently(url: string): Promise<MementoStore> {
  const [, path] = /^sqlite:(.+)$/u.exec(url) ?? [];
  if (path === undefined) return (await openStore(url)).store;
  return await SqliteStore.open({ path, lockTimeoutMs: 120_000 });
}

async function work(): Promise<void> {
  const store = await openPatiently(task.store);
  await using memento = await Memento.open(counter.wrap("store", store), { keys: { file: task.keyFile } });
  for (let round = 0; ; round++) {
    if (task.action === "save") await save(memento, round);
    else if (task.action === "restore") await restore(memento, round);
    else if (task.action === "collect") await collect(memento);
    else await erase(memento);
    if (task.untilMs === 0 || (Date.now() >= task.untilMs && hasDoneEnough(round + 1))) return;
  }
}

const report = (): GcReport => ({ kept, done, calls: counter.names.length });
try {
  await work();
  process.stdout.write(`${JSON.stringify(report())}\n`);
} catch (error) {
  const { code = "ERROR", message = String(error) } = error as { code?: string; message?: string };
  process.stdout.write(`${JSON.stringify({ ...report(), error: { code, message } })}\n`);
  process.exitCode = 1;
}
