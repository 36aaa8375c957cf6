import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, onTestFinished, test } from "vitest";

import { moody } from "../../../../test/harness/moody-store.ts";
import { replicaContent } from "../../../../test/harness/replica-content.ts";
import { isMementoError } from "../core/errors.ts";
import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/store.ts";
import { openStore } from "../store/open-store.ts";
import type { MementoStore } from "../store/store.ts";
import { promoteReplica, replicateStore, type HealReport, type ReplicateOptions } from "../store/wrap/index.ts";
import { rawKeyRing } from "./keys/key-ring.ts";
import { replicaAuthority } from "./replica-authority.ts";
import { Vault } from "./vault.ts";

const KEYS = { raw: [new Uint8Array(32).fill(5)] };
type Driver = "sqlite" | "file";

interface Drill {
  readonly memento: Memento;
  readonly healed: HealReport[];
  /** Opens one of the two by itself. */
  readonly alone: (name: "primary" | "replica") => Promise<Memento>;
  readonly bare: (name: "primary" | "replica") => Promise<MementoStore>;
  readonly folder: string;
}

async function drill(
  primary: Driver,
  replica: Driver,
  options: Partial<ReplicateOptions> & { readonly keys?: typeof KEYS | false } = {},
): Promise<Drill> {
  const { keys = KEYS, ...others } = options;
  const folder = await mkdtemp(join(tmpdir(), "memento-drill-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const urls = { primary: `${primary}:${join(folder, "primary")}`, replica: `${replica}:${join(folder, "replica")}` };
  const bare = async (name: "primary" | "replica"): Promise<MementoStore> => {
    const { store } = await openStore(urls[name]);
    onTestFinished(async () => await store.close());
    return store;
  };
  const alone = async (name: "primary" | "replica"): Promise<Memento> => {
    const memento = await Memento.open(await bare(name), { keys, create: name === "primary" });
    onTestFinished(async () => await memento.close());
    return memento;
  };
  const { vault } = await alone("primary");
  const healed: HealReport[] = [];
  const store = replicateStore({
    primary: await bare("primary"),
    replicas: [{ store: await bare("replica") }],
    mode: "synchronous",
    authority: replicaAuthority(vault),
    onHealed: (report) => void healed.push(report),
    ...others,
  });
  const memento = await Memento.open(store, { keys });
  onTestFinished(async () => await memento.close());
  return { memento, healed, alone, bare, folder };
}

/** A state of some kilobytes, of which a part changes with each version. */
const stateOf = (version: number) => ({
  version,
  rows: Array.from({ length: 200 }, (_, id) => ({
    id,
    text: id % 50 === version % 50 ? `${version}`.repeat(9) : `row ${id}`,
  })),
});

async function use(memento: Memento, from: number, count: number): Promise<string[]> {
  const etl = memento.caretaker("etl");
  const ids: string[] = [];
  for (let version = from; version < from + count; version++)
    ids.push((await etl.save(stateOf(version), { id: `v${version % 4}`, replace: true })).id);
  return ids;
}

describe("a replica that takes over", () => {
  test.each([
    ["sqlite", "file", "synchronous"],
    ["file", "sqlite", "synchronous"],
    ["sqlite", "sqlite", "streamed"],
  ] as const)(
    "from %s to %s, %s: heads and data are equal, all of it verifies, and work goes on",
    async (from, to, mode) => {
      const { memento, alone, bare } = await drill(from, to, { mode, pollMs: 20, surveyMs: 60 });
      const ids = await use(memento, 1, 12);
      await memento.caretaker("etl").delete(ids[2] ?? "");
      await memento.caretaker("lab").save({ other: true });
      await memento.collect();
      await memento.rotateKeys();
      await memento.secureDelete([ids[3] ?? ""], { reason: "asked for" });
      const last = await use(memento, 20, 3);
      await memento.close();

      const [primary, replica] = [await bare("primary"), await bare("replica")];
      expect(await replicaContent(replica)).toEqual(await replicaContent(primary));
      const { vault } = await alone("replica");
      const epochs = new Map<string, number>();
      for await (const { record, lease } of primary.timelines(null)) epochs.set(record.key, lease.epoch);
      await promoteReplica(replica, { authority: replicaAuthority(vault), epochs: 3 });
      const taken = await alone("replica");
      expect((await taken.verify()).damages).toEqual([]);
      for await (const { record, lease } of taken.timelines())
        expect(lease.epoch).toBe((epochs.get(record.key) ?? 0) + 3);
      expect(await taken.caretaker("etl").load(last[2] ?? "")).toEqual(stateOf(22));
      expect(await taken.caretaker("etl").latest()).toEqual(stateOf(22));
      for (const gone of [ids[2], ids[3]])
        await expect(taken.caretaker("etl").load(gone ?? "")).rejects.toSatisfy((error) => isMementoError(error));
      const [more = ""] = await use(taken, 30, 1);
      expect(await taken.caretaker("etl").load(more)).toEqual(stateOf(30));
      expect((await taken.verify()).sound).toBe(true);
    },
  );

  test("a writer that still has the old primary saves nothing more, and learns it by FENCED", async () => {
    const { memento, alone, bare } = await drill("sqlite", "sqlite");
    await use(memento, 1, 3);
    const { vault } = await alone("replica");
    await promoteReplica(await bare("replica"), { authority: replicaAuthority(vault) });
    const commits = async (): Promise<number> => (await Array.fromAsync((await bare("replica")).commits(null))).length;
    const before = await commits();
    await expect(use(memento, 4, 1)).rejects.toMatchObject({ code: "FENCED" });
    await expect(use(memento, 5, 1)).rejects.toMatchObject({ code: "FENCED" });
    expect(await commits()).toBe(before);
  });
});

/** Flips a byte in the body of the pack that holds a memento, in the primary's files. */
function flip(folder: string, driver: Driver, id: string): void {
  const place = join(folder, "primary");
  if (driver === "sqlite") {
    const database = new (process.getBuiltinModule("node:sqlite").DatabaseSync)(place);
    const [timeline = "", sequence = ""] = id.split("-");
    const row = database
      .prepare(
        "SELECT c.id, c.body FROM memento m JOIN commit_log c ON c.id = m.commit_id WHERE m.timeline = ? AND m.sequence = ?",
      )
      .get(timeline, Number(sequence));
    const body = Buffer.from(row?.["body"] as Uint8Array);
    body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 4;
    database.prepare("UPDATE commit_log SET body = ? WHERE id = ?").run(body, Number(row?.["id"]));
    database.close();
    return;
  }
  const packs = join(place, "packs");
  const name = readdirSync(packs, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .find((file) => readFileSync(file).includes(`"entries":[["${id}"`));
  const content = readFileSync(name ?? "none");
  const at = content.length - 40;
  content[at] = (content[at] ?? 0) ^ 4;
  writeFileSync(name ?? "none", content);
}

describe("healing", () => {
  test.each([
    ["sqlite", KEYS],
    ["sqlite", false],
    ["file", KEYS],
    ["file", false],
  ] as const)("a byte that was flipped in %s (keys: %j) is read right, told of, and mended", async (driver, keys) => {
    const { memento, healed, alone, folder } = await drill(driver, "sqlite", { keys });
    const ids = await use(memento, 1, 6);
    const hurt = ids[5] ?? "";
    flip(folder, driver, hurt);
    expect((await (await alone("primary")).verify()).sound).toBe(false);
    expect(await memento.caretaker("etl").load(hurt)).toEqual(stateOf(6));
    expect(healed).toMatchObject([{ id: hurt, refused: [] }]);
    expect(healed[0]?.from).toContain(join(folder, "replica"));
    expect((await (await alone("primary")).verify()).damages).toEqual([]);
    expect(await memento.caretaker("etl").load(hurt)).toEqual(stateOf(6));
    expect(healed.length).toBe(1);
  });

  test("heal() mends a memento that nobody has read, and says null of one that is whole", async () => {
    const { memento, folder, alone, bare } = await drill("sqlite", "file");
    const [first = "", second = ""] = await use(memento, 1, 2);
    flip(folder, "sqlite", first);
    const { vault } = await alone("replica");
    const store = replicateStore({
      primary: await bare("primary"),
      replicas: [{ store: await bare("replica") }],
      mode: "streamed",
      authority: replicaAuthority(vault),
    });
    expect(await store.heal(second)).toBe(null);
    expect((await store.heal(first))?.from).toContain("replica");
    expect(await store.heal(first)).toBe(null);
    await store.close();
  });

  test("a replica that refuses does not keep the next one from helping", async () => {
    const { memento, folder, alone, bare } = await drill("sqlite", "file");
    const [first = ""] = await use(memento, 1, 1);
    flip(folder, "sqlite", first);
    const { vault } = await alone("replica");
    const refusing = moody(await MemoryStore.open());
    refusing.fails = "ACCESS_DENIED";
    const store = replicateStore({
      primary: await bare("primary"),
      replicas: [{ store: refusing.store }, { store: await bare("replica") }],
      mode: "streamed",
      authority: replicaAuthority(vault),
    });
    expect(await store.heal(first)).toMatchObject({
      from: expect.stringContaining("replica"),
      refused: [{ replica: "memory:", why: "made to fail" }],
    });
    await store.close();
  });

  test("what is damaged on both sides stays as it is, and is told as DAMAGED with the reasons in the report", async () => {
    const { memento, healed, folder } = await drill("sqlite", "sqlite");
    const [first = ""] = await use(memento, 1, 1);
    flip(folder, "sqlite", first);
    const database = new (process.getBuiltinModule("node:sqlite").DatabaseSync)(join(folder, "replica"));
    database.exec("UPDATE commit_log SET body = zeroblob(length(body)) WHERE body IS NOT NULL");
    database.close();
    await expect(memento.caretaker("etl").load(first)).rejects.toMatchObject({ code: "DAMAGED" });
    expect(healed[0]).toMatchObject({ id: first, from: null });
    expect(healed[0]?.refused[0]?.why).toContain("damaged there too");
  });

  test("an erased memento does not come back from a replica that still has its bytes", async () => {
    const { memento, alone, bare } = await drill("sqlite", "sqlite");
    const ids = await use(memento, 1, 4);
    await memento.close();
    // The replica is left behind: it knows nothing of the deletion.
    const primary = await alone("primary");
    await primary.secureDelete([ids[1] ?? ""], { reason: "asked for" });
    const store = replicateStore({
      primary: await bare("primary"),
      replicas: [{ store: await bare("replica") }],
      mode: "streamed",
      authority: replicaAuthority(primary.vault),
    });
    const report = await store.heal(ids[1] ?? "");
    expect(report?.from ?? null).toBe(null);
    const [gone] = [await (await bare("primary")).read(ids[1] ?? "")];
    const ring = rawKeyRing([new Uint8Array(32).fill(5)]);
    const vault = await Vault.open(await bare("primary"), { keys: ring, create: false });
    await expect(vault.load(ids[1] ?? "")).rejects.toSatisfy((error) => isMementoError(error));
    expect(gone?.removed).toBe(true);
    // Once it follows again, the replica has lost the key as well.
    await store.catchUp();
    const keys = async (name: "primary" | "replica"): Promise<string[]> =>
      (await (await bare(name)).keys()).map(({ id }) => id).toSorted((a, b) => (a < b ? -1 : 1));
    expect(await keys("replica")).toEqual(await keys("primary"));
    await store.close();
  });
});
