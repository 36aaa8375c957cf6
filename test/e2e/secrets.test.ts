import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

import { Memento } from "@mementojs/memento";
import { encodeValue } from "@mementojs/memento/vault";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";

import { memento, pipelineFile } from "../harness/command-line.ts";
import { findSecret } from "../harness/secret-search.ts";

const SECRET = "s3cr3t/Wörd+with=odd&bytes-7f0c";
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-secrets-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Every byte that a command wrote or printed, and every body after opening, by where it was found. */
async function everythingWritten(printed: ReadonlyMap<string, string>): Promise<Map<string, Uint8Array>> {
  const found = new Map([...printed].map(([name, text]) => [name, Buffer.from(text, "utf8")]));
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile())
      found.set(path.join(entry.parentPath, entry.name), readFileSync(path.join(entry.parentPath, entry.name)));
  }
  await using store = await Memento.open(`sqlite:${folder}/.memento/store.db`);
  for await (const commit of store.vault.store.commits(null))
    found.set(`header of commit ${commit.cursor}`, Buffer.from(commit.header));
  for await (const { record } of store.timelines()) {
    for await (const entry of store.history({ name: record.originator })) {
      const opened = await store.vault.load(entry.id);
      found.set(`fields of ${entry.id}`, Buffer.from(encodeValue(opened.fields()).bytes));
      for (const [key, value] of await opened.values(""))
        found.set(`${key} of ${entry.id}`, Buffer.from(encodeValue(value).bytes));
    }
  }
  return found;
}

/** An API that refuses every call, and says with what it was called. */
async function echoingApi(): Promise<string> {
  const server = createServer(({ headers: { authorization = "" } }, response) => {
    const account = Buffer.from(authorization.replace("Basic ", ""), "base64").toString("utf8");
    response.writeHead(422).end(`the account ${account} (${authorization}) may not do that`);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function commands(leak: boolean): Promise<Map<string, Uint8Array>> {
  const environment = { TEST_WAREHOUSE_SECRET: SECRET, ...(leak ? { TEST_LEAK: "1" } : {}) };
  const printed = new Map<string, string>();
  const call = async (...args: string[]): Promise<string> => {
    const { stdout, stderr } = await memento(folder, args, environment);
    printed.set(`output of ${args.join(" ")} (${printed.size})`, stdout + stderr);
    return stdout;
  };
  const pipeline = pipelineFile("secretive.ts");
  const api = await echoingApi();
  await call("init");
  await call("run", pipeline, "--param", `into=${folder}/table.db`, "--param", "fail=true");
  await call("run", pipeline, "--param", `into=${folder}/table.db`, "--param", "fail=true", "--json", "--debug");
  await call("run", pipeline, "--param", `into=${folder}/table.db`, "--fresh");
  await call("run", pipeline, "--param", `into=${folder}/table.db`, "--param", `api=${api}`, "--fresh", "--debug");
  await call("run", pipeline, "--param", `into=${folder}/table.db`, "--param", `api=${api}`, "--fresh", "--json");
  expect([...printed.values()].filter((text) => text.includes("RECORD_INVALID"))).toHaveLength(2);
  await call("run", pipeline, "--param", `into=${folder}/table.db`, "--fresh");
  await call("log");
  await call("ls", "--json");
  await call("show", "head");
  await call("show", "head", "--json");
  const { hash } = JSON.parse(await call("plan", "start", "--json")) as { hash: string };
  await call("rollback", "start", "--plan", hash);
  await call("diff", "head", "head~2");
  await call("doctor");
  await call("verify");
  const written = await everythingWritten(printed);
  expect([...printed.values()].join("\n")).toContain("completed");
  return written;
}

describe("P4 secret: a credential's value", () => {
  test("is in no byte written or printed, and in no body after opening, in any spelling", async () => {
    for (const [place, bytes] of await commands(false)) expect(findSecret(bytes, SECRET), place).toBeNull();
  });

  test("is found by the same search where it was planted", async () => {
    const places = [...(await commands(true))]
      .filter(([, bytes]) => findSecret(bytes, SECRET) !== null)
      .map(([place]) => place);
    expect(places.some((place) => place.startsWith("state/leak"))).toBe(true);
    expect(places.some((place) => place.endsWith("table.db"))).toBe(true);
    for (const spelling of [
      SECRET,
      encodeURIComponent(SECRET),
      Buffer.from(SECRET).toString("base64"),
      Buffer.from(SECRET).toString("hex"),
      Buffer.from(`x${SECRET}`).toString("base64"),
      Buffer.from(SECRET).toString("hex").toUpperCase(),
    ]) {
      writeFileSync(path.join(folder, "leak.txt"), `before ${spelling} after`);
      expect(findSecret(readFileSync(path.join(folder, "leak.txt")), SECRET), spelling).not.toBeNull();
    }
  });
});
