import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";

import { describe, expect, test } from "vitest";

import { systemClock } from "../../../core/ports.ts";
import type { Sink } from "../sink.ts";
import { httpCalls, type HttpCallsOptions } from "./http-calls.ts";

interface Request {
  readonly method: string;
  readonly path: string;
  readonly key: string;
  readonly body: unknown;
  readonly headers: IncomingMessage["headers"];
}

interface Api {
  readonly url: string;
  readonly journal: string;
  readonly seen: Request[];
  /** Answers for the next requests; 0 cuts the connection once the request was taken. */
  readonly next: number[];
  open(options?: Partial<HttpCallsOptions<unknown>>): Promise<Sink>;
}

const clock = { ...systemClock, sleep: async () => undefined };
const by = (token: string): { epoch: number; token: string } => ({ epoch: 1, token });

/** Lends an HTTP API on a port of its own. */
async function withApi(run: (api: Api) => Promise<void>): Promise<void> {
  await using lent = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "memento-http-"));
  lent.defer(() => rmSync(folder, { recursive: true }));
  const [seen, next]: [Request[], number[]] = [[], []];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (data: Buffer) => (text += data.toString()));
    request.on("end", () => {
      const { method = "", url: path = "", headers } = request;
      const key = String(headers["idempotency-key"]);
      seen.push({ method, path, key, body: text === "" ? null : JSON.parse(text), headers });
      const status = next.shift() ?? 200;
      if (status === 0) request.socket.destroy();
      else {
        response.writeHead(status, { "content-type": "application/json", location: "/elsewhere" });
        response.end(JSON.stringify({ id: `made ${seen.length}` }));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  lent.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`;
  const journal = join(folder, "calls.db");
  await run({
    url,
    journal,
    seen,
    next,
    open: async (options = {}) => {
      const sink = httpCalls({ url, journal, ...options });
      lent.defer(async () => await sink.close());
      await sink.open({ timeline: "one", name: "out", clock, signal: new AbortController().signal });
      return sink;
    },
  });
}

const compensate: HttpCallsOptions<unknown>["compensate"] = {
  url: ({ answer }) => `http://127.0.0.1/${JSON.stringify(answer.body)}`,
};

describe("httpCalls()", () => {
  test("sends a batch as JSON, with a key, and a row by itself where a call has one", async () => {
    await withApi(async ({ open, seen }) => {
      const sink = await open({ headers: { authorization: "Bearer s3cret" } });
      await sink.write([{ a: 1 }, { a: 2 }], by("one:0:load:1"));
      const single = await open({ rowsPerCall: 1, callsAtOnce: 2, method: "PUT" });
      await single.write([{ a: 3 }, { a: 4 }], by("one:0:load:2"));
      const bodies = seen.map(({ method, body }) => `${method} ${JSON.stringify(body)}`);
      expect(bodies.slice(0, 1)).toEqual(['POST [{"a":1},{"a":2}]']);
      expect(bodies.slice(1).toSorted()).toEqual(['PUT {"a":3}', 'PUT {"a":4}']);
      expect(seen[0]?.headers.authorization).toBe("Bearer s3cret");
      const keys = seen.map(({ key }) => key);
      expect(new Set(keys).size).toBe(3);
      expect(keys.every((key) => /^[\w-]{32}$/u.test(key))).toBe(true);
    });
  });

  test("tries again with the same key after 503, 429 and a lost connection", async () => {
    await withApi(async ({ open, seen, next }) => {
      const sink = await open();
      next.push(503, 429, 0);
      await sink.write([{ a: 1 }], by("t1"));
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
      expect(seen.length).toBe(4);
    });
  });

  test("gives up with STORE_UNREACHABLE; the next try has the same key, and the token is taken once", async () => {
    await withApi(async ({ open, seen, next }) => {
      const sink = await open({ attemptsMax: 2 });
      next.push(500, 502);
      await expect(sink.write([{ a: 1 }], by("t1"))).rejects.toMatchObject({ code: "STORE_UNREACHABLE" });
      await sink.close();
      const again = await open();
      await again.write([{ a: 1 }], by("t1"));
      expect(await again.write([{ a: 1 }], by("t1"))).toMatchObject({ duplicate: true });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
      expect(seen.length).toBe(3);
    });
  });

  test.each([
    [400, "RECORD_INVALID"],
    [302, "RECORD_INVALID"],
    [401, "ACCESS_DENIED"],
  ])("takes %i for a refusal: %s, and nothing was written", async (status, code) => {
    await withApi(async ({ open, next, seen, url }) => {
      const sink = await open({ url: `${url}?key=s3cret` });
      next.push(status);
      const refused = sink.write([{ a: 1 }], by("t1"));
      await expect(refused).rejects.toMatchObject({ code });
      await expect(refused).rejects.not.toThrow("s3cret");
      expect(sink.describe()).not.toContain("s3cret");
      expect(await sink.mark()).toBeNull();
      await sink.write([{ a: 2 }], by("t1"));
      expect(seen.map(({ key }) => key)[0]).not.toBe(seen.map(({ key }) => key)[1]);
    });
  });

  test("P4 secret: what cannot be sent, and what gives no answer, is told without URL, headers and the client's own words", async () => {
    await withApi(async ({ open, seen, url }) => {
      const account = url.replace("http://", "http://loader:s3cret@");
      expect(() => httpCalls({ url: account, journal: "unused.db" })).toThrow("url has an account in it");
      for (const options of [
        { url: () => `${account}?key=s3cret` },
        { url: () => "s3cret" },
        { headers: { authorization: "s3cret\nBearer" } },
        { method: "GE T" },
      ]) {
        const sink = await open(options);
        const refused: unknown = await sink.write([{ a: 1 }], by("t1")).catch((error: unknown) => error);
        expect(refused).toMatchObject({ code: "RECORD_INVALID", hint: expect.stringContaining("authorization") });
        expect(inspect(refused)).not.toContain("s3cret");
        expect(await sink.mark()).toBeNull();
        await sink.close();
      }
      const away = Object.assign(new Error("connect s3cret"), { code: "ECONNREFUSED" });
      const failing = async (): Promise<never> => await Promise.reject(new TypeError("s3cret", { cause: away }));
      const sink = await open({ url: `${url}?key=s3cret`, fetch: failing, attemptsMax: 2 });
      const lost: unknown = await sink.write([{ a: 1 }], by("t1")).catch((error: unknown) => error);
      expect(lost).toMatchObject({ code: "STORE_UNREACHABLE", message: `POST ${url} gave no answer: ECONNREFUSED` });
      expect(inspect(lost)).not.toContain("s3cret");
      expect(seen).toEqual([]);
    });
  });

  test("P4 secret: tells how a refusal begins, without half of a word: nobody would know it for half of a secret", async () => {
    await withApi(async ({ open, url }) => {
      const answer = `${"a word ".repeat(27)}"tok-3f9c-very-secret"`;
      const refusing = async (): Promise<Response> => await Promise.resolve(new Response(answer, { status: 422 }));
      const sink = await open({ fetch: refusing });
      const message = `POST ${url} answered 422: ${"a word ".repeat(27)}"…`;
      await expect(sink.write([{ a: 1 }], by("t1"))).rejects.toMatchObject({ code: "RECORD_INVALID", message });
    });
  });

  test("takes calls back by what they answered, the newest first; one that is gone is done", async () => {
    await withApi(async ({ open, seen, next, url }) => {
      const sink = await open({
        compensate: { ...compensate, url: ({ answer }) => `${url}/${(answer.body as { id: string }).id.slice(5)}` },
      });
      await sink.write([{ a: 1 }], by("t1"));
      await sink.write([{ a: 2 }, { a: 3 }], by("t2"));
      next.push(200, 404);
      expect(await sink.inspect(null)).toMatchObject({ remove: 3, restore: 0 });
      expect(await sink.revertTo(null, by("back"), { force: false })).toMatchObject({ removed: 3 });
      expect(seen.slice(2).map(({ method, path }) => `${method} ${path}`)).toEqual([
        "DELETE /orders/2",
        "DELETE /orders/1",
      ]);
      expect(new Set(seen.map(({ key }) => key)).size).toBe(4);
    });
  });
});
