import { readFile } from "node:fs/promises";

import { describe, expect, test } from "vitest";

import { sqlitePlace } from "../../../../../test/workers/sqlite-place.ts";
import { MementoError } from "../../core/errors.ts";
import { systemClock, type Clock } from "../../core/ports.ts";
import { expectCode } from "../../testing/store/kit.ts";
import { nextTurn } from "../../vault/turns.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import type { Statements } from "./statements.ts";

const LOCK_TIMEOUT_MS = 100;
const WAL_HEADER_BYTES = 32;
const FRAME_BYTES = 24 + 1_024;

/** Time passes by sleeping alone. */
let slept = 0;
const clock: Clock = {
  ...systemClock,
  monotonic: () => slept,
  sleep: async (ms) => void (slept += ms),
};

async function withConnection(
  run: (connection: Connection, options: ConnectionOptions) => Promise<void>,
): Promise<void> {
  const place = await sqlitePlace();
  const options = { path: place.address, lockTimeoutMs: LOCK_TIMEOUT_MS, clock };
  const connection = await Connection.create(options, () => undefined);
  try {
    await run(connection, options);
  } finally {
    connection.close();
    await place.dispose();
  }
}

/** How many commits stand in the log. */
async function commits(path: string): Promise<number> {
  const wal = await readFile(`${path}-wal`);
  const frames = Math.floor((wal.length - WAL_HEADER_BYTES) / FRAME_BYTES);
  const sizes = Array.from({ length: frames }, (_, frame) =>
    wal.readUInt32BE(WAL_HEADER_BYTES + frame * FRAME_BYTES + 4),
  );
  return sizes.filter((size) => size !== 0).length;
}

const insert =
  (text: string) =>
  ({ insertCommit }: Statements): number =>
    Number(insertCommit.run(Buffer.from(text), null, null).lastInsertRowid);

const headers = async (connection: Connection): Promise<readonly string[]> =>
  await connection.read(({ commitsAfter }) =>
    commitsAfter.all(0, 100).map((row) => Buffer.from(row["header"] as Uint8Array).toString()),
  );

describe("writes that are asked for at once", () => {
  test("share one commit, in the order in which they were asked for", async () => {
    await withConnection(async (connection, { path }) => {
      const before = await commits(path);
      const written = await Promise.all(["a", "b", "c"].map(async (text) => await connection.write(insert(text))));
      expect(written).toEqual([1, 2, 3]);
      expect(await commits(path)).toBe(before + 1);
      expect(await headers(connection)).toEqual(["a", "b", "c"]);
    });
  });

  test("one that fails leaves nothing behind, and the others are done", async () => {
    await withConnection(async (connection) => {
      const half = (statements: Statements): number => {
        insert("half")(statements);
        throw new MementoError("INVALID_ARGUMENT", "not this one");
      };
      const [first, , last] = await Promise.all([
        connection.write(insert("a")),
        expectCode("INVALID_ARGUMENT", () => connection.write(half)),
        connection.write(insert("c")),
      ]);
      expect([first, last]).toEqual([1, 2]);
      expect(await headers(connection)).toEqual(["a", "c"]);
    });
  });

  test("are all refused by another one's lock, which is waited for once", async () => {
    await withConnection(async (connection, { path }) => {
      const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
      const other = new DatabaseSync(path);
      other.exec("BEGIN IMMEDIATE");
      try {
        const before = slept;
        await Promise.all(Array.from({ length: 20 }, () => expectCode("LOCKED", () => connection.write(insert("x")))));
        expect(slept - before).toBeLessThan(2 * LOCK_TIMEOUT_MS);
      } finally {
        other.close();
      }
      expect(await connection.write(insert("y"))).toBe(1);
    });
  });
});

describe("what another connection of this process writes", () => {
  /** Something that is written elsewhere until it is let go. */
  function elsewhere(connection: Connection, log: string[], name: string): { letGo(): void; written: Promise<void> } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const written = connection.waitFor(async () => {
      log.push(`${name} begins`);
      await promise;
      log.push(`${name} ends`);
    });
    return { letGo: resolve, written };
  }

  test.each(["a write", "a compaction"])(
    "%s waits for what is under way there, and for nothing that comes later",
    async (what) => {
      await withConnection(async (connection) => {
        const log: string[] = [];
        const [one, two] = [elsewhere(connection, log, "one"), elsewhere(connection, log, "two")];
        const here = (what === "a write" ? connection.write(insert("here")) : connection.compact()).then(() =>
          log.push("here"),
        );
        const three = elsewhere(connection, log, "three");
        await nextTurn();
        expect(log).toEqual(["one begins", "two begins"]);
        two.letGo();
        await nextTurn();
        expect(log).toEqual(["one begins", "two begins", "two ends"]);
        one.letGo();
        // It is done although the third one is not let go yet.
        await here;
        await nextTurn();
        expect(log.slice(3).toSorted()).toEqual(["here", "one ends", "three begins"]);
        three.letGo();
        await Promise.all([one.written, two.written, three.written]);
        expect(await connection.write(insert("again"))).toBeGreaterThan(0);
      });
    },
  );

  test("keeps nobody waiting once it has failed", async () => {
    await withConnection(async (connection) => {
      const failing = connection.waitFor(async () => {
        await nextTurn();
        throw new MementoError("IO_FAILED", "the other one has ended");
      });
      const here = connection.write(insert("here"));
      await expectCode("IO_FAILED", () => failing);
      expect(await here).toBe(1);
    });
  });
});
