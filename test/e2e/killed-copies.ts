import { spawn, type ChildProcess } from "node:child_process";
import { Readable } from "node:stream";

import { expect } from "vitest";

import type { MementoEntry } from "../../packages/memento/src/core/memento.ts";
import { Memento } from "../../packages/memento/src/memento.ts";
import { mementoQuery } from "../../packages/memento/src/store/query.ts";
import type { KeySource } from "../../packages/memento/src/vault/keys/resolve-keys.ts";
import { mementoCommand } from "../harness/command-line.ts";
import { shellEnvironment } from "../harness/process.ts";

/** A store of a chain, with the keys that it is opened with here, and how the command line is told of them. */
export interface ChainPlace {
  readonly url: string;
  readonly keys: KeySource;
  readonly named: string;
}

/**
 * Fills a store with so many live mementos, as stores are after some use: several caretakers and timelines whose saves take
 * turns, packs of many and of one, deltas, names in many scripts, a fork of a stream's parts, removed ones some of which others need.
 */
export async function fillForCopy(memento: Memento, mementos: number): Promise<void> {
  const caretakers = ["etl", "ünï — 漢字 🚚", "docs"];
  await memento.caretaker("etl").setPolicy({ maxCount: 1_000_000, queryable: ["step"] });
  await memento.caretaker("docs").saveStream(Readable.from([Buffer.alloc(300_000, "a stream ")]), { id: "strëam" });
  const rows = Array.from({ length: 60 }, (_, row) => `row ${row}`);
  let live = 1;
  for (let step = 0; live < mementos; step++) {
    rows[step % rows.length] = `row of step ${step}`;
    const some = Array.from({ length: Math.min(step % 4 === 0 ? 12 : 1, mementos - live) }, (_, one) => one);
    const saved = await Promise.all(
      some.map(async (one) => {
        const caretaker = memento.caretaker(caretakers[(step + one) % 3] ?? "etl");
        const named = step % 9 === 0 && one === 0 ? { id: `näme ${step} 名` } : {};
        const labels = { step: String(step), läbel: "ß" };
        const info = await caretaker.save(
          { rows: [...rows], step, one },
          { originator: `o${one}`, labels, metadata: { step }, ...named },
        );
        return { caretaker, id: info.id };
      }),
    );
    live += saved.length;
    if (step % 11 === 10 && saved[0] !== undefined) {
      await saved[0].caretaker.delete(saved[0].id);
      live -= 1;
    }
    if (step === 40) await memento.collect();
  }
  await memento.caretaker("docs").pin((await memento.caretaker("docs").save({ last: true }, { id: "pinned" })).id);
}

/** What a store says of itself that must be the same in its copy: every live memento in the order of each timeline, names, and the digest of the whole. */
export async function standOf(
  place: ChainPlace,
): Promise<{ readonly digest: string; readonly entries: readonly MementoEntry[] }> {
  await using memento = await Memento.open(place.url, { keys: place.keys, create: false });
  const entries: MementoEntry[] = [];
  for await (const { entry } of memento.vault.store.query(mementoQuery({ order: "ascending" }))) {
    const { name, caretaker, id } = entry;
    if (name !== undefined) expect(await memento.vault.store.findByName(caretaker, name)).toBe(id);
    entries.push(entry);
  }
  // A store orders each timeline, and none across: what a kill cut off of a pack comes after what others of it have brought.
  entries.sort((a, b) => (a.timeline < b.timeline ? -1 : Number(a.timeline > b.timeline)) || a.sequence - b.sequence);
  return { digest: (await memento.digest()).digest, entries };
}

/** Each look opens the store, and lists all of it: the copy goes on for half as long in between, within these bounds. */
const BETWEEN_LOOKS_MS_MIN = 100;
const BETWEEN_LOOKS_MS_MAX = 1_000;

async function countOf(place: ChainPlace): Promise<number> {
  try {
    await using memento = await Memento.open(place.url, { keys: place.keys, create: false });
    let count = 0;
    for await (const _row of memento.vault.store.query(mementoQuery())) count += 1;
    return count;
  } catch {
    // It is just being made.
    return 0;
  }
}

/** Kills a copy once so many mementos are there. It stands still while they are counted. */
async function killWhenThere(place: ChainPlace, mementos: number, copy: ChildProcess): Promise<void> {
  while (copy.exitCode === null) {
    copy.kill("SIGSTOP");
    const looked = performance.now();
    const isThere = (await countOf(place)) >= mementos;
    copy.kill(isThere ? "SIGKILL" : "SIGCONT");
    if (isThere) return;
    const half = (performance.now() - looked) / 2;
    const pauseMs = Math.min(Math.max(half, BETWEEN_LOOKS_MS_MIN), BETWEEN_LOOKS_MS_MAX);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/**
 * Copies by the command line, killed by SIGKILL each time when it has got so far (shares of the whole), and then to the end.
 * Gives how often it was really killed, and what the last one reported.
 */
export async function killedCopy(
  from: ChainPlace,
  to: ChainPlace,
  mementos: number,
  kills: readonly number[],
  environment: NodeJS.ProcessEnv = {},
): Promise<{ readonly kills: number; readonly report: Record<string, unknown> }> {
  let killed = 0;
  const env = { ...shellEnvironment(), ...environment };
  for (const share of [...kills, null]) {
    const options = ["--from-keys", from.named, "--to-keys", to.named, "--json"];
    const [file, args] = mementoCommand(["copy", "--from", from.url, "--to", to.url, ...options]);
    const child = spawn(file, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    try {
      if (share !== null) await killWhenThere(to, share * mementos, child);
      await ended;
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
    if (child.signalCode === "SIGKILL") killed += 1;
    else if (child.exitCode !== 0) throw new Error(`the copy ended ${child.exitCode}: ${stdout}${stderr}`);
    if (share === null) return { kills: killed, report: JSON.parse(stdout) as Record<string, unknown> };
  }
  throw new Error("not reached");
}
