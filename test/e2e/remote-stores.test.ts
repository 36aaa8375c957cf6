import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento } from "../harness/command-line.ts";
import { requireEngine } from "../harness/engines.ts";
import { probePostgres, startPostgres } from "../harness/servers/postgres.ts";
import { startVersitygw, versitygwIsThere } from "../harness/servers/versitygw.ts";

/** A server that the command line is pointed at. */
interface Place {
  readonly url: (name: string) => Promise<string>;
  readonly environment: NodeJS.ProcessEnv;
  readonly stop: () => Promise<void>;
}

const KEY = { MEMENTO_KEY: Buffer.alloc(32, 5).toString("base64url") };

const PLACES: readonly (readonly [string, () => true | string, () => Promise<Place>])[] = [
  [
    "PostgreSQL",
    probePostgres,
    async () => {
      const server = await startPostgres();
      return {
        url: async (name) => await Promise.resolve(server.url(name)),
        environment: KEY,
        stop: async () => await server[Symbol.asyncDispose](),
      };
    },
  ],
  [
    "versitygw",
    versitygwIsThere,
    async () => {
      const server = await startVersitygw();
      const bucket = await server.bucket();
      return {
        url: async (name) => await Promise.resolve(server.url(bucket, name)),
        environment: { ...KEY, ...server.environment },
        stop: async () => await server[Symbol.asyncDispose](),
      };
    },
  ],
];

for (const [name, probe, start] of PLACES) {
  const isThere = await requireEngine(name, probe);
  describe.skipIf(!isThere)(`the command line on ${name}`, () => {
    let folder: string;
    let place: Place;

    beforeAll(async () => {
      folder = mkdtempSync(path.join(tmpdir(), "memento-remote-"));
      place = await start();
    });
    afterAll(async () => {
      await place.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    const run = async (...args: readonly string[]): Promise<string> => {
      const { stdout, stderr, exitCode } = await memento(folder, args, place.environment);
      expect([args[0], exitCode, stderr]).toEqual([args[0], 0, stderr]);
      return stdout;
    };

    test("lists, gets, exports, imports, backs up and restores there as anywhere", async () => {
      const [here, there] = [await place.url("here"), await place.url("there")];
      writeFileSync(path.join(folder, "nötes.txt"), "what is to be kept\n");
      await run("--store", here, "init");
      await run("--store", here, "put", "nötes.txt", "--caretaker", "etl", "--id", "nötes");
      expect(await run("--store", here, "ls")).toContain("nötes");
      expect(await run("--store", here, "get", "nötes")).toBe("what is to be kept\n");
      await run("--store", here, "export", "--caretaker", "etl", "--out", "etl.memento");
      await run("import", "etl.memento", "--store", "sqlite:etl.db");
      const backup = JSON.parse(await run("backup", here, "all.memento", "--json")) as { readonly digest: string };
      const restored = JSON.parse(await run("restore-backup", "all.memento", there, "--json")) as unknown;
      expect(restored).toMatchObject({ imported: 1, verified: { identical: true, digest: backup.digest } });
      expect(await run("--store", there, "get", "nötes")).toBe("what is to be kept\n");
      const synced = JSON.parse(await run("sync", "--from", here, "--to", there, "--json")) as unknown;
      expect(synced).toMatchObject({ copied: 0, verified: { identical: true } });
      const health = JSON.parse(await run("--store", here, "doctor", "--replica", there, "--json")) as unknown;
      expect(health).toMatchObject({
        healthy: true,
        stores: [{ isHealthy: true }, { lag: { mementos: 0, ahead: 0 } }],
      });
      expect(await run("--store", there, "verify")).toMatch(/^Sound/u);
    });

    test("passes the conformance kit by check-store, in places of its own", async () => {
      const url = await place.url("check_{n}");
      const tests = ["--grep", "^(append|acquireLease|remove|commits)\\("];
      const report = JSON.parse(await run("check-store", decodeURIComponent(url), ...tests, "--json")) as unknown;
      expect(report).toMatchObject({ failed: 0 });
    });

    test("makes no store without a seal of a sealed backup", async () => {
      const { MEMENTO_KEY: _key, ...keyless } = place.environment;
      const file = path.join(folder, "own.memento");
      await memento(folder, ["init"]);
      await memento(folder, ["backup", "sqlite:.memento/store.db", file]);
      const args = ["restore-backup", file, await place.url("keyless"), "--key-file", ".memento/store.db.key"];
      const refused = await memento(folder, args, keyless);
      expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining("--to-keys")]);
    });
  });
}
