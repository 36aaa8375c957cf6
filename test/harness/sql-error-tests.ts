/** What stores on SQL servers say when they cannot be opened or used; each driver declares these with its own server. */
import { inspect } from "node:util";

import { describe, expect, test } from "vitest";

import { isMementoError, type ErrorCode, type MementoError } from "../../packages/memento/src/core/errors.ts";
import { openStore } from "../../packages/memento/src/store/open-store.ts";
import type { MementoStore } from "../../packages/memento/src/store/store.ts";
import { StoreFixture } from "../../packages/memento/src/testing/store/fixture.ts";
import { collect } from "../../packages/memento/src/testing/store/kit.ts";
import { freePort } from "./servers/server.ts";
import { startProxy } from "./servers/tcp-proxy.ts";
import { makeStore, newPlace, type SqlEngineUnderTest } from "./sql-store-tests.ts";

/** The password of the accounts that the driver's test has made. */
export const SECRET = "s3cret-päss w/rd?";

/** What these tests need besides. */
export interface SqlErrors {
  /** The scheme of the engine's URLs. */
  readonly scheme: string;
  /** Makes an account that may only read the tables of a place; gives its URL. */
  readonly readOnlyUrl: (place: string) => Promise<string>;
  /** The URL of an account with a password. */
  readonly accountUrl: (place: string, password: string) => string;
  /** Opens with short timeouts. */
  readonly openImpatiently: (url: string) => Promise<MementoStore>;
  /** Statements after which another transaction holds the row of every timeline. */
  readonly lockTimelines: (place: string) => readonly string[];
  readonly setVersion: (place: string, version: number) => string;
}

/** The error of a call; fails when it is another one, or none. No secret may be in it. */
export async function expectFailure(code: ErrorCode, call: () => Promise<unknown>): Promise<MementoError> {
  try {
    await call();
  } catch (error) {
    if (!isMementoError(error, code)) throw error;
    const shown = inspect(error, { depth: 8, showHidden: true });
    for (const spelling of [SECRET, encodeURIComponent(SECRET), "wrong-secret"]) expect(shown).not.toContain(spelling);
    expect(error.hint).not.toBe("");
    return error;
  }
  return expect.fail(`expected ${code}, and nothing was thrown`);
}

/** Each way in which a store cannot be opened or used: one clear error, and no secret in it. */
export function declareErrorTests(engine: SqlEngineUnderTest, errors: SqlErrors): void {
  const { scheme } = errors;

  describe("open()", () => {
    test("shows no user and no password in the store's URL", async () => {
      await using store = await engine.open(errors.accountUrl(newPlace(), SECRET));
      expect(store.url).toMatch(/^[a-z]+:\/\/127\.0\.0\.1:[0-9]+\/[a-z]+\?[a-z]+=t[0-9]+_$/u);
      expect(await store.meta()).toBeNull();
    });

    test("refuses a wrong password with ACCESS_DENIED", async () => {
      await expectFailure("ACCESS_DENIED", () => engine.open(errors.accountUrl(newPlace(), "wrong-secret")));
    });

    test("refuses a database that is not there with PLACE_MISSING", async () => {
      const url = engine
        .server()
        .url(newPlace())
        .replace(/\/[a-z]+\?/u, "/nowhere?");
      await expectFailure("PLACE_MISSING", () => engine.open(url));
    });

    test("refuses a port where nobody listens with STORE_UNREACHABLE", async () => {
      const error = await expectFailure("STORE_UNREACHABLE", async () => {
        return await engine.open(
          `${scheme}://user:${encodeURIComponent(SECRET)}@127.0.0.1:${await freePort()}/memento`,
        );
      });
      expect(error.retryable).toBe(true);
    });

    test("refuses a server that speaks no TLS where it is asked for", async () => {
      const url = `${engine.server().url(newPlace())}&sslmode=verify-full`;
      await expectFailure("STORE_UNREACHABLE", () => engine.open(url));
    });

    test("refuses tables of a newer release with FORMAT_UNKNOWN, and tables that are gone with DAMAGED", async () => {
      const { store, place, url } = await makeStore(engine);
      await store.close();
      await engine.server().query(errors.setVersion(place, 2));
      await using newer = await engine.open(url);
      await expectFailure("FORMAT_UNKNOWN", () => newer.meta());
      await engine.server().query(errors.setVersion(place, 1));
      await engine.server().query(`DROP TABLE ${engine.table(place, "timeline")}`);
      await using damaged = await engine.open(url);
      await expectFailure("DAMAGED", () => damaged.meta());
    });
  });

  declareMakingTests(engine);
  declareUrlTests(engine, scheme);
  declareAccountTests(engine, errors);
}

function declareMakingTests(engine: SqlEngineUnderTest): void {
  describe("create()", () => {
    test("is made once by many who start at the same time", async () => {
      const url = engine.server().url(newPlace());
      const make = new StoreFixture(1);
      await using opened = new AsyncDisposableStack();
      const made = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const store = opened.use(await engine.open(url));
          return await store.create(make.meta(), make.key("integrity"));
        }),
      );
      for (const meta of made) expect(meta).toEqual(made[0]);
    });

    test("is found by the scheme of its URL", async () => {
      const { store } = await openStore(engine.server().url(newPlace()));
      await using _ = store;
      expect(await store.meta()).toBeNull();
    });
  });
}

function declareUrlTests(engine: SqlEngineUnderTest, scheme: string): void {
  describe("the URL", () => {
    test.each([
      ["no URL", "nothing"],
      ["another scheme", `http://u:${encodeURIComponent(SECRET)}@h/d`],
      ["no database", `${scheme}://u:${encodeURIComponent(SECRET)}@h`],
      ["an unknown parameter", `${scheme}://u:${encodeURIComponent(SECRET)}@h/d?sslmod=require`],
      ["an sslmode that is none", `${scheme}://u:${encodeURIComponent(SECRET)}@h/d?sslmode=perhaps`],
      ["a certificate that is not there", `${scheme}://h/d?sslmode=require&sslrootcert=/nowhere/ca.pem`],
      ["a pool that is no number", `${scheme}://h/d?pool=many`],
      ["a password that is not encoded", `${scheme}://u:100%@h/d`],
    ])("refuses %s with INVALID_ARGUMENT", async (_, url) => {
      await expectFailure("INVALID_ARGUMENT", () => engine.open(url));
    });

    test.each(["a b", 'x";--', "UPPER", "1st", "x".repeat(60)])("refuses %j as a place's name", async (place) => {
      const url = `${scheme}://h/d?${scheme === "postgres" ? "schema" : "prefix"}=${encodeURIComponent(place)}`;
      await expectFailure("INVALID_ARGUMENT", () => engine.open(url));
    });
  });
}

function declareAccountTests(engine: SqlEngineUnderTest, errors: SqlErrors): void {
  describe("an account that may only read", () => {
    test("reads, and is refused with ACCESS_DENIED when it writes", async () => {
      const { store, make, place } = await makeStore(engine);
      await using _ = store;
      const timeline = await make.timeline(store);
      const { id } = await timeline.save(store);
      await using reader = await engine.open(await errors.readOnlyUrl(place));
      expect((await reader.read(id))?.slot).toBe(0);
      expect(await collect(reader.commits(null))).toHaveLength(1);
      expect(await collect(reader.check())).toEqual([]);
      const record = timeline.record();
      await expectFailure("ACCESS_DENIED", () => reader.append(make.batch([record])));
      await expectFailure("ACCESS_DENIED", () => reader.note(make.notice("restored")));
      await expectFailure("ACCESS_DENIED", () => reader.acquireLease({ timeline: timeline.key, lease: make.lease(2) }));
    });
  });

  describe("waits", () => {
    test("for another transaction's lock end with LOCKED", async () => {
      const { store, make, place, url } = await makeStore(engine);
      await using _ = store;
      const timeline = await make.timeline(store);
      await using other = await engine.server().connect();
      for (const sql of errors.lockTimelines(place)) await other.query(sql);
      await using impatient = await errors.openImpatiently(url);
      const record = timeline.next();
      await expectFailure("LOCKED", () => impatient.append(make.batch([record])));
      await other.query("ROLLBACK");
      expect(await untilReached(() => impatient.append(make.batch([record])))).toEqual([{ outcome: "appended" }]);
    });

    test("for a server that says nothing end with STORE_UNREACHABLE, and the next call finds it again", async () => {
      await using proxy = await startProxy(engine.server().port);
      const { store, make, place } = await makeStore(engine);
      await using _ = store;
      const timeline = await make.timeline(store);
      await using impatient = await errors.openImpatiently(engine.server().url(place, proxy.port));
      const { id } = await timeline.save(store);
      expect((await untilReached(() => impatient.read(id)))?.slot).toBe(0);
      proxy.passage = { toClient: () => false };
      await expectFailure("STORE_UNREACHABLE", () => impatient.read(id));
      const record = timeline.next();
      await expectFailure("STORE_UNREACHABLE", () => impatient.append(make.batch([record])));
      proxy.passage = {};
      expect((await untilReached(() => impatient.read(id)))?.slot).toBe(0);
      expect((await untilReached(() => impatient.timeline(timeline.key)))?.head?.sequence).toBeGreaterThan(0);
    });
  });
}

/** What a call gives once the server answers in time: on a busy machine an impatient client may have to ask again. */
async function untilReached<T>(call: () => Promise<T>): Promise<T> {
  for (const end = performance.now() + 60_000; ;) {
    try {
      return await call();
    } catch (error) {
      if (!isMementoError(error, "STORE_UNREACHABLE") || performance.now() > end) throw error;
    }
  }
}
