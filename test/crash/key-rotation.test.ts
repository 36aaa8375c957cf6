import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { parseKeys } from "@mementojs/memento/vault";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { runProcess, type ProcessResult } from "../harness/process.ts";
import { findSecret } from "../harness/secret-search.ts";
import type { KeyTask } from "../workers/key-worker.ts";

const SECRET = "planted-s3cret/value+of=saves-81e0";
const worker = fileURLToPath(new URL("../workers/key-worker.ts", import.meta.url));
let root: string;

beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), "memento-key-rotation-"));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

async function work(
  folder: string,
  kind: string,
  task: Pick<KeyTask, "action"> & Partial<KeyTask>,
): Promise<ProcessResult> {
  const place = { url: `${kind}:${folder}/store`, keyFile: `${folder}/store.key`, name: "c", secret: SECRET };
  return await runProcess(process.execPath, [worker, JSON.stringify({ ...place, ...task })], { timeoutMs: 120_000 });
}

/** The mementos that a saver has acknowledged. */
const saved = ({ stdout }: ProcessResult): readonly (readonly [id: string, state: object])[] =>
  stdout
    .trim()
    .split("\n")
    .map((line) => {
      const [id = "", session, number] = line.split(" ");
      return [id, { session: Number(session), number: Number(number), secret: SECRET }];
    });

function expectNoSecrets(folder: string, outputs: readonly ProcessResult[]): void {
  const keyFile = readFileSync(`${folder}/store.key`, "utf8");
  const keys = parseKeys(keyFile, "the key file").map((key) => Buffer.from(key));
  const places = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== "store.key")
    .map((entry): [string, Buffer] => [entry.name, readFileSync(path.join(entry.parentPath, entry.name))]);
  places.push(["outputs", Buffer.from(outputs.map(({ stdout, stderr }) => stdout + stderr).join("\n"))]);
  for (const [name, bytes] of places) {
    expect(findSecret(bytes, SECRET), name).toBeNull();
    for (const key of keys) {
      expect(bytes.includes(key), name).toBe(false);
      for (const encoding of ["hex", "base64", "base64url"] as const)
        expect(bytes.includes(key.toString(encoding).replace(/=*$/u, "")), `${encoding} in ${name}`).toBe(false);
    }
  }
  expect(keys.some((key) => keyFile.includes(key.toString("base64url")))).toBe(true);
}

describe.each(["sqlite", "file"])("P4 secret: keys of a %s store rotate", (kind) => {
  test("and are revoked while four savers in processes of their own go on, and nothing is lost", async () => {
    const folder = mkdtempSync(path.join(root, "race-"));
    await (await Memento.open(`${kind}:${folder}/store`)).close();
    const state = { going: true };
    const savers = Promise.all(
      ["a", "b", "c", "d"].map(async (name) => await work(folder, kind, { action: "save", name, sessions: 4 })),
    ).finally(() => (state.going = false));
    const revoked: string[] = [];
    await using memento = await Memento.open(`${kind}:${folder}/store`);
    for (let round = 0; state.going || round < 2 || revoked.length === 0; round++) {
      const old = (await memento.keys()).keys[0]?.id ?? "";
      const fresh = await memento.newKey();
      await memento.rotateKeys({ to: fresh });
      // A saver may wrap by the old one at this very moment: then it is refused, and tried again.
      const done = await memento.revokeKey(old).then(
        () => true,
        (error: unknown) => expect(error).toMatchObject({ code: "KEY_IN_USE" }),
      );
      if (done === true) revoked.push(old);
    }
    const results = await savers;
    expect(results.map(({ exitCode, stdout }) => (exitCode === 0 ? "" : stdout))).toEqual(["", "", "", ""]);
    expect(revoked.length).toBeGreaterThan(0);
    await using again = await Memento.open(`${kind}:${folder}/store`);
    for (const [index, name] of ["a", "b", "c", "d"].entries()) {
      const mementos = saved(results[index] as ProcessResult);
      expect(mementos).toHaveLength(20);
      for (const [id, value] of mementos) expect(await again.caretaker(name).load(id)).toEqual(value);
    }
    const { keys, unopened } = await again.keys();
    expect(unopened).toEqual([]);
    for (const id of revoked) expect(keys.map((key) => key.id)).not.toContain(id);
    expect(await again.verify()).toMatchObject({ sound: true });
    expectNoSecrets(folder, results);
  });

  test("and a rotation that is killed before or after each of its calls is finished by the next", async () => {
    const base = path.join(root, `base-${kind}`);
    cpSync(mkdtempSync(path.join(root, "empty-")), base, { recursive: true });
    const first = await Memento.open(`${kind}:${base}/store`);
    await first.close();
    const result = await work(base, kind, { action: "save", sessions: 3 });
    const before = await Memento.open(`${kind}:${base}/store`);
    const old = (await before.keys()).keys[0]?.id ?? "";
    const fresh = await before.newKey();
    await before.close();
    let killed = 0;
    for (const phase of ["before", "after"] as const) {
      for (let call = 1; ; call += 2) {
        const folder = path.join(root, `killed-${kind}-${phase}-${call}`);
        cpSync(base, folder, { recursive: true });
        const { signal } = await work(folder, kind, { action: "rotate", kill: { call, phase } });
        await using memento = await Memento.open(`${kind}:${folder}/store`);
        for (const [id, state] of saved(result))
          expect(await memento.caretaker("c").load(id), `${call}`).toEqual(state);
        const report = await memento.rotateKeys();
        expect(report).toMatchObject({ current: fresh, unopened: [] });
        expect(report.rewrapped + report.unchanged).toBe(4);
        await memento.revokeKey(old);
        for (const [id, state] of saved(result)) expect(await memento.caretaker("c").load(id)).toEqual(state);
        if (signal !== "SIGKILL") break;
        killed += 1;
      }
    }
    expect(killed).toBeGreaterThan(4);
  });
});
