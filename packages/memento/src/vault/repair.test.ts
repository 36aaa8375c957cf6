import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, onTestFinished, test } from "vitest";

import { bench, contents, harm, KEYS, repaired, replicaOf, sql } from "../../../../test/harness/repair-bench.ts";
import { Memento } from "../memento.ts";
import { definePipeline } from "../orchestrator/pipeline/pipeline.ts";
import { decodeHeader } from "../store/header.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { SeededRandom } from "../testing/seeded-random.ts";
import { applyRepair, planRepair } from "./repair.ts";
import { copyStore } from "./transfer/index.ts";

describe.each(["sqlite", "file"] as const)("P3: repair of a %s store", (driver) => {
  test("does nothing to a sound one", async () => {
    const made = await bench(driver);
    const memento = await made.open();
    const { plan, done, after } = await repaired(memento);
    expect(plan).toMatchObject({ sound: true, items: [] });
    expect({ done, sound: after.sound }).toEqual({ done: [], sound: true });
    expect((await notices(memento)).filter(({ kind }) => kind === "repaired")).toEqual([]);
  });

  test.each(["body", "header", "missing"] as const)("takes a pack from a replica: %s", async (how) => {
    const made = await bench(driver);
    const whole = await contents(await made.open(), made.ids);
    await (await made.open()).close();
    made.copyTo("replica");
    harm(made, made.ids[2] ?? "", how);
    const memento = await made.open();
    expect((await memento.verify()).sound).toBe(false);
    const { plan, done, left, quarantined, after } = await repaired(memento, {
      replicas: [await replicaOf(made, "replica")],
    });
    expect(plan.items.filter(({ action }) => action === "restore")).toMatchObject([{ from: "replica" }]);
    expect(done).toContain(`pack:${made.ids[2]}`);
    expect({ left, quarantined }).toEqual({ left: [], quarantined: [] });
    expect(after).toMatchObject({ sound: true, mementos: 7 });
    expect(await contents(memento, made.ids)).toEqual(whole);
    expect((await notices(memento)).at(-1)).toMatchObject({
      kind: "repaired",
      details: { by: "tester", from: ["replica"] },
    });
    expect((await planRepair(memento.vault, {})).sound).toBe(true);
  });

  test.each(["body", "header", "missing"] as const)(
    "without a replica gives up exactly what is lost, and keeps its bytes: %s",
    async (how) => {
      const made = await bench(driver);
      const kept = [made.ids[0], made.ids[1], made.ids[5]].map((id) => id ?? "");
      const whole = await contents(await made.open(), kept);
      await (await made.open()).close();
      harm(made, made.ids[2] ?? "", how);
      const memento = await made.open();
      const { plan, quarantined, after, aside } = await repaired(memento);
      expect(quarantined.toSorted()).toEqual(made.ids.slice(2, 5).toSorted());
      expect(aside).toEqual([made.ids[2]]);
      expect(plan.items.find(({ name }) => name === `quarantine:${made.ids[3]}`)?.nearestGood).toEqual({
        [made.ids[3] ?? ""]: made.ids[1],
      });
      expect(after.damages).toEqual([]);
      expect(after).toMatchObject({ sound: true, mementos: 4 });
      expect(await contents(memento, kept)).toEqual(whole);
      expect((await repaired(memento)).plan.items).toEqual([]);
    },
  );

  test.each(["body", "header", "missing"] as const)(
    "leaves a timeline of many epochs that can be copied, at the epochs that it had: %s",
    async (how) => {
      const made = await bench(driver);
      const pipeline = definePipeline({ name: "etl", version: "1", stages: (stage) => [stage.task("load", () => 1)] });
      const open = await made.open();
      for (let run = 0; run < 3; run++) await open.run(pipeline);
      const history: { id: string; epoch: number }[] = [];
      for await (const { id, epoch } of open.history(pipeline)) history.unshift({ id, epoch });
      await open.close();
      const doomed = history.filter(({ epoch }) => epoch === 2).slice(0, 2);
      expect(doomed).toHaveLength(2);
      for (const { id } of doomed) harm(made, id, how);
      const memento = await made.open();
      const { quarantined } = await repaired(memento);
      expect(quarantined).toEqual(expect.arrayContaining(doomed.map(({ id }) => id)));
      expect((await repaired(memento)).plan.items).toEqual([]);
      const fresh = await Memento.open("memory:", { keys: KEYS });
      onTestFinished(async () => await fresh.close());
      await copyStore(memento.vault, fresh.vault);
      const [copied, left] = await Promise.all(
        [fresh, memento].map(async (each) => await Array.fromAsync(each.history(pipeline))),
      );
      expect(copied).toEqual(left);
      expect((await fresh.verify()).sound).toBe(true);
    },
  );

  test("finds a damaged memento that nothing else needs, even where the store can no longer list it", async () => {
    const made = await bench(driver);
    made.copyTo("replica");
    harm(made, made.ids[1] ?? "", "header");
    const memento = await made.open();
    const alone = await planRepair(memento.vault, {});
    expect(alone.items.filter(({ action }) => action === "quarantine").flatMap(({ mementos }) => mementos)).toEqual([
      made.ids[1],
    ]);
    const { done, after } = await repaired(memento, { replicas: [await replicaOf(made, "replica")] });
    expect(done).toEqual([`pack:${made.ids[1]}`]);
    expect(after).toMatchObject({ sound: true, mementos: 7 });
  });

  test("takes a pack from a replica that has keys of its own, and of a store that is not sealed from a copy", async () => {
    const made = await bench(driver);
    const file = join(made.folder, "all.memento");
    const memento = await made.open();
    await memento.exportTo(file, { caretaker: "etl" });
    const other = await Memento.open("memory:", { keys: { raw: [new Uint8Array(32).fill(8)] } });
    onTestFinished(async () => await other.close());
    await other.importFrom(file, { keys: KEYS });
    await memento.close();
    harm(made, made.ids[2] ?? "", "body");
    const damaged = await made.open();
    const { done, after } = await repaired(damaged, { replicas: [{ name: "other", vault: other.vault }] });
    expect(done).toEqual([`pack:${made.ids[2]}`]);
    expect(after).toMatchObject({ sound: true, mementos: 7 });

    const plain = await bench(driver, { keys: false });
    plain.copyTo("replica");
    harm(plain, plain.ids[2] ?? "", "body");
    const open = await plain.open();
    expect((await repaired(open, { replicas: [await replicaOf(plain, "replica")] })).after.sound).toBe(true);
  });

  test("lets a timeline go on from the nearest good memento when its head is given up", async () => {
    const made = await bench(driver);
    harm(made, made.ids[5] ?? "", "header");
    const memento = await made.open();
    const { plan, quarantined, after, done } = await repaired(memento);
    const key = made.ids[0]?.split("-")[0] ?? "";
    expect(plan.items.find(({ action }) => action === "go-on")?.nearestGood).toEqual({
      [made.ids[5] ?? ""]: made.ids[4],
    });
    expect(quarantined).toEqual([made.ids[5]]);
    expect(done).toContain(`line:${key}`);
    expect(after).toMatchObject({ sound: true, mementos: 7 });
    const etl = memento.caretaker("etl");
    const head = (await memento.vault.timeline(key)).head;
    expect(await etl.load(head?.id ?? "")).toEqual(await etl.load(made.ids[4] ?? ""));
    expect((await etl.save({ n: 9 })).id).toContain("-8-");
    expect((await memento.verify()).sound).toBe(true);
    expect((await planRepair(memento.vault, {})).items).toEqual([]);
  });

  test.each(["body", "header", "missing"] as const)(
    "lets a timeline go on when its head needs what is lost, and frees and exports what is left: %s",
    async (how) => {
      const made = await bench(driver);
      const before = await made.open();
      const ids: string[] = [];
      for (const state of [{ n: 1 }, { n: 2, table: "shared".repeat(100) }, { n: 3, table: "shared".repeat(100) }])
        ids.push((await before.caretaker("line").save(state)).id);
      await before.close();
      harm(made, ids[1] ?? "", how);
      const memento = await made.open();
      const { quarantined, after, done } = await repaired(memento);
      expect(quarantined.toSorted()).toEqual(ids.slice(1).toSorted());
      expect(done).toContain(`line:${ids[0]?.split("-")[0]}`);
      expect(after.damages).toEqual([]);
      expect(await memento.caretaker("line").latest()).toEqual({ n: 1 });
      expect((await memento.caretaker("line").save({ n: 4 })).id).toContain("-5-");
      expect((await memento.collect()).packs).toBeGreaterThan(0);
      await memento.exportTo(join(made.folder, "all.memento"), { store: true });
      expect((await planRepair(memento.vault, {})).items).toEqual([]);
    },
  );

  test("asks the next replica when one is damaged at the same place, and says why", async () => {
    const made = await bench(driver);
    made.copyTo("first");
    made.copyTo("second");
    harm(made, made.ids[2] ?? "", "body");
    harm(made, made.ids[2] ?? "", "body", "first");
    const memento = await made.open();
    const replicas = [await replicaOf(made, "first"), await replicaOf(made, "second")];
    const { plan, after } = await repaired(memento, { replicas });
    expect(plan.items.find(({ action }) => action === "restore")).toMatchObject({
      from: "second",
      refused: [{ from: "first" }],
    });
    expect(after.sound).toBe(true);
  });

  test("refuses a replica whose memento has the same id and another digest", async () => {
    const made = await bench(driver);
    made.copyTo("other");
    // The same clock and the same randomness make the same ids, so that only what is saved tells the two apart.
    const branch = async (name: string, table: string): Promise<string> => {
      const random = new SeededRandom(7);
      const memento = await Memento.open(`${driver}:${join(made.folder, name)}`, {
        keys: KEYS,
        clock: new ManualClock(),
        random,
      });
      const { id } = await memento.caretaker("etl").save({ n: 7, table });
      await memento.caretaker("etl").save({ n: 8, table: "later" });
      await memento.close();
      return id;
    };
    const id = await branch("store", "what was here");
    expect(await branch("other", "what is there")).toBe(id);
    harm(made, id, "body");
    const memento = await made.open();
    const { plan, quarantined, after } = await repaired(memento, { replicas: [await replicaOf(made, "other")] });
    const pack = plan.items.find(({ name }) => name === `pack:${id}`);
    expect(pack).toMatchObject({ action: "quarantine", refused: [{ from: "other" }] });
    expect(pack?.refused[0]?.why).toMatch(/another digest/u);
    expect(quarantined).toContain(id);
    expect(after.sound).toBe(true);
  });

  test("refuses to go by a plan that moved, and by consent to nothing", async () => {
    const made = await bench(driver);
    harm(made, made.ids[5] ?? "", "body");
    const memento = await made.open();
    await expect(applyRepair(memento.vault, { plan: "0000000000000000" })).rejects.toMatchObject({
      code: "PLAN_MOVED",
    });
    const { hash } = await planRepair(memento.vault, { accept: ["head:nothing"] });
    await expect(applyRepair(memento.vault, { plan: hash, accept: ["head:nothing"] })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    const { left, quarantined } = await applyRepair(memento.vault, {
      plan: (await planRepair(memento.vault, {})).hash,
    });
    expect({ left: left.length, quarantined }).toEqual({ left: 1, quarantined: [] });
  });
});

describe("P3: repair of an SQLite store's rows", () => {
  const OF_SIX = "WHERE ordinal = (SELECT timeline FROM head WHERE sequence = 6)";

  test.each([
    ["an index row", "DELETE FROM memento WHERE sequence = 4"],
    ["a name", "UPDATE memento_name SET memento = 'aaaaaaaaaaaa-1-aaaaaa'"],
    ["a head", "UPDATE head SET sequence = 2 WHERE sequence = 6"],
  ])("makes %s anew", async (_, text) => {
    const made = await bench("sqlite");
    const whole = await contents(await made.open(), made.ids);
    await (await made.open()).close();
    sql(join(made.folder, "store"), text);
    const memento = await made.open();
    const { done, after, quarantined } = await repaired(memento);
    expect(done).toContain("index");
    expect(quarantined).toEqual([]);
    expect(after).toMatchObject({ sound: true, mementos: 7 });
    expect(await contents(memento, made.ids)).toEqual(whole);
    expect(await memento.vault.store.findByName("etl", "gold")).not.toBeNull();
  });

  test.each([
    ["head", "UPDATE head SET head_check = 'x' WHERE sequence = 6"],
    ["lease", `UPDATE timeline SET lease_check = 'x' ${OF_SIX}`],
    ["timeline", `UPDATE timeline SET record_check = 'x' ${OF_SIX}`],
  ])("makes the check of a %s anew only with consent", async (what, text) => {
    const made = await bench("sqlite");
    sql(join(made.folder, "store"), text);
    const memento = await made.open();
    const name = `${what}:${made.ids[0]?.split("-")[0]}`;
    const first = await repaired(memento);
    expect(first.plan.items).toMatchObject([{ name, action: "accept", needsConsent: true }]);
    expect(first.after.sound).toBe(false);
    const { done, after } = await repaired(memento, { accept: [name] });
    expect(done).toContain(name);
    expect(after.sound).toBe(true);
  });

  test("makes a lost timeline anew only with consent, and says what is lost of it", async () => {
    const made = await bench("sqlite");
    sql(join(made.folder, "store"), `DELETE FROM timeline ${OF_SIX}`);
    const memento = await made.open();
    const name = `timeline:${made.ids[0]?.split("-")[0]}`;
    const plan = await planRepair(memento.vault, {});
    expect(plan.items.find((item) => item.name === name)).toMatchObject({ action: "accept", needsConsent: true });
    const { after } = await repaired(memento, { accept: [name] });
    expect(after).toMatchObject({ sound: true, mementos: 7 });
    expect((await memento.caretaker("etl").save({ n: 7 })).id).toContain("-7-");
  });
});

describe("P3: repair of a file store's index", () => {
  test("makes every file of it anew, or says what it cannot", { timeout: 120_000 }, async () => {
    const made = await bench("file");
    const whole = await contents(await made.open(), made.ids);
    await (await made.open()).close();
    const files = readdirSync(join(made.folder, "store"), { recursive: true, withFileTypes: true })
      .filter((each) => each.isFile() && /(?:caretakers|timelines|names)/u.test(each.parentPath))
      .map(({ parentPath, name }) => join(parentPath, name).slice(join(made.folder, "store").length + 1));
    expect(files.length).toBeGreaterThan(10);
    for (const [at, file] of files.entries()) {
      const name = `copy-${at}`;
      made.copyTo(name);
      const path = join(made.folder, name, file);
      const content = readFileSync(path);
      content[content.length >>> 1] = (content[content.length >>> 1] ?? 0) ^ 1;
      writeFileSync(path, content);
      const memento = await made.open(name);
      const { plan, after, quarantined } = await repaired(memento);
      expect({ file, items: plan.items.map(({ action }) => action), left: after.damages, quarantined }).toEqual({
        file,
        items: ["rebuild-index"],
        left: [],
        quarantined: [],
      });
      expect(await contents(memento, made.ids)).toEqual(whole);
      expect((await memento.caretaker("etl").save({ n: 7 })).id).toContain("-7-");
      await memento.close();
    }
  });
});

async function notices(memento: Memento): Promise<readonly { readonly kind: string; readonly details: unknown }[]> {
  const found: { kind: string; details: unknown }[] = [];
  for await (const { header } of memento.vault.store.commits(null)) {
    const decoded = decodeHeader(header, "a commit");
    if (decoded.type === "notice") found.push(decoded.notice);
  }
  return found;
}
