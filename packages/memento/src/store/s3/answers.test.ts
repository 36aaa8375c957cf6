import { request, type IncomingMessage, type ServerResponse } from "node:http";
import process from "node:process";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { startHttpStub } from "../../../../../test/harness/servers/http-servers.ts";
import { minioIsThere, startMinio } from "../../../../../test/harness/servers/minio.ts";
import type { S3Server } from "../../../../../test/harness/servers/s3-server.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { S3Store } from "./store.ts";

/** Passes an object's bytes on in its own way. */
type Carry = (answer: IncomingMessage, outgoing: ServerResponse) => Promise<void>;

describe.skipIf(!(await requireEngine("MinIO", minioIsThere)))("what S3Store reads", () => {
  let server: S3Server;

  beforeAll(async () => {
    server = await startMinio();
    Object.assign(process.env, server.environment);
  }, 90_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  /** True when a memento is read as it was through something that carries the bytes of objects, with two seconds for each request. */
  async function isReadThrough(carry: Carry, bodyBytes: number): Promise<boolean> {
    const bucket = await server.bucket();
    const make = new StoreFixture(1);
    await using plain = await S3Store.openUrl(server.url(bucket, "place"));
    await plain.create(make.meta(), make.key("integrity"));
    const record = (await make.timeline(plain)).next();
    const batch = make.batch([record], { body: make.random.bytes(bodyBytes) });
    expect(await plain.append(batch)).toEqual([{ outcome: "appended" }]);
    await using between = await startHttpStub((incoming, outgoing) => {
      const { method, url: path, headers } = incoming;
      const onward = request({ host: "127.0.0.1", port: server.port, method, path, headers }, (answer) => {
        const isObject = method === "GET" && path?.includes("list-type") === false && answer.statusCode === 200;
        if (isObject) void carry(answer, outgoing);
        else answer.pipe(outgoing.writeHead(answer.statusCode ?? 500, answer.headers));
      });
      incoming.pipe(onward);
    });
    const endpoint = `http://127.0.0.1:${between.port}`;
    await using store = await S3Store.open({ bucket, prefix: "place", endpoint, requestMsMax: 2_000 });
    const stored = await store.read(record.entry.id);
    return Buffer.compare(stored?.body ?? new Uint8Array(), batch.body) === 0;
  }

  test("is asked for again where the answer is cut", async () => {
    const cut = new Set<string>();
    const carry: Carry = async (answer, outgoing) => {
      const object = String(answer.headers.etag);
      outgoing.writeHead(200, answer.headers);
      if (cut.has(object)) return await pipeline(answer, outgoing);
      cut.add(object);
      const [first] = (await Array.fromAsync(answer)) as Buffer[];
      outgoing.write(first?.subarray(0, 20), () => outgoing.destroy());
    };
    expect(await isReadThrough(carry, 100_000)).toBe(true);
    expect(cut.size).toBeGreaterThan(2);
  });

  test("may come without its length", async () => {
    const carry: Carry = async (answer, outgoing) => {
      const { "content-length": _, ...headers } = answer.headers;
      await pipeline(answer, outgoing.writeHead(200, headers));
    };
    expect(await isReadThrough(carry, 100_000)).toBe(true);
  });

  test("may take longer than a request, as long as something comes", async () => {
    const carry: Carry = async (answer, outgoing) => {
      outgoing.writeHead(200, answer.headers);
      const bytes = Buffer.concat((await Array.fromAsync(answer)) as Buffer[]);
      const isLarge = bytes.byteLength > 1_000_000;
      for (let at = 0; at < bytes.byteLength; at += 300_000) {
        outgoing.write(bytes.subarray(at, at + 300_000));
        if (isLarge) await sleep(300);
      }
      outgoing.end();
    };
    expect(await isReadThrough(carry, 3_000_000)).toBe(true);
  });
});
