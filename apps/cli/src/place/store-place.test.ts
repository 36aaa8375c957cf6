import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { systemClock } from "@mementojs/memento/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, mementoCommand } from "../../../../test/harness/command-line.ts";
import { shellEnvironment, type ProcessResult } from "../../../../test/harness/process.ts";
import type { Invocation } from "../invocation.ts";
import { findStore, openMemento } from "./store-place.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-place-")));
});
afterEach(() => {
  const store = path.join(folder, ".memento");
  if (existsSync(store)) chmodSync(store, 0o700);
  rmSync(folder, { recursive: true });
});

function invocation(
  cwd: string,
  store: string | null = null,
  env: Record<string, string> = {},
): Pick<Invocation, "io" | "store"> {
  const output = { isTerminal: false, columns: 80, colours: false, write: () => undefined };
  return {
    store,
    io: {
      cwd,
      env,
      clock: systemClock,
      out: output,
      err: output,
      ask: null,
      onStop: () => () => undefined,
      reserveOutput: () => undefined,
      enter: () => undefined,
      exit: () => undefined,
    },
  };
}

describe("findStore()", () => {
  test("finds the project's store from any folder below", () => {
    mkdirSync(path.join(folder, ".memento"));
    writeFileSync(path.join(folder, ".memento", "store.db"), "");
    mkdirSync(path.join(folder, "a", "b"), { recursive: true });
    expect(findStore(invocation(path.join(folder, "a", "b")))).toEqual({
      url: `sqlite:${folder}/.memento/store.db`,
      by: "folder",
      folder: path.join(folder, ".memento"),
      path: path.join(folder, ".memento", "store.db"),
      exists: true,
    });
  });

  test("is this folder's where there is none above", () => {
    expect(findStore(invocation(folder))).toMatchObject({
      path: path.join(folder, ".memento", "store.db"),
      exists: false,
    });
  });

  test("an option goes before the environment, and that before the folder", () => {
    const env = { MEMENTO_STORE: "file:theirs" };
    expect(findStore(invocation(folder, "sqlite:mine.db", env))).toMatchObject({
      url: `sqlite:${folder}/mine.db`,
      by: "option",
    });
    expect(findStore(invocation(folder, null, env))).toMatchObject({ url: `file:${folder}/theirs`, by: "environment" });
    expect(findStore(invocation(folder, null, { MEMENTO_STORE: "" })).by).toBe("folder");
  });

  test.each([
    ["sqlite:a.db", "a.db"],
    ["sqlite://a.db", "a.db"],
    ["file:some/where", "some/where"],
  ])("reads %s as a path from here", (url, relative) => {
    expect(findStore(invocation(folder, url)).path).toBe(path.join(folder, relative));
  });

  test("reads a whole file URL", () => {
    expect(findStore(invocation(folder, "sqlite:///with%20space/a.db")).path).toBe("/with space/a.db");
  });
});

/** Runs a command as a user who is not the superuser, whom nothing is closed to. */
async function asSomebody(args: readonly string[]): Promise<Pick<ProcessResult, "exitCode" | "stdout" | "stderr">> {
  const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const [file, all] = mementoCommand(args);
  const child = spawn(file, all, { cwd: folder, env: shellEnvironment(), stdio: ["ignore", "pipe", "pipe"], ...user });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const [exitCode] = (await once(child, "close")) as [number | null];
  return { exitCode, stdout, stderr };
}

describe("openMemento()", () => {
  test.each([[null], ["sqlite:nope.db"], ["file:nope"]])(
    "leaves nothing behind where there is no store: %s",
    async (store) => {
      await expect(openMemento(invocation(folder, store))).rejects.toMatchObject({ code: "NOT_A_STORE" });
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  test("is free where a file or a folder is empty, as that of a new volume is", async () => {
    mkdirSync(path.join(folder, "volume", "lost+found"), { recursive: true });
    mkdirSync(path.join(folder, "full"));
    for (const file of ["empty.db", "full/anything"]) writeFileSync(path.join(folder, file), "");
    writeFileSync(path.join(folder, "some.db"), "something");
    const exists = (url: string): boolean => findStore(invocation(folder, url)).exists;
    expect(["file:volume", "sqlite:empty.db", "file:nowhere", "sqlite:some.db/below"].map(exists)).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect(["file:full", "sqlite:some.db"].map(exists)).toEqual([true, true]);
    await expect(openMemento(invocation(folder, "file:volume"))).rejects.toMatchObject({ code: "NOT_A_STORE" });
    expect(readdirSync(folder).toSorted()).toEqual(["empty.db", "full", "some.db", "volume"]);
  });

  test("a store that may not be looked into is there all the same", async () => {
    expect((await memento(folder, ["init"])).exitCode).toBe(0);
    chmodSync(path.join(folder, ".memento"), 0);
    chmodSync(folder, 0o777);
    for (const args of [["ls"], ["init"], ["ls", "--store", "sqlite:.memento/store.db"], ["doctor"]]) {
      const { stdout, stderr, exitCode } = await asSomebody(args);
      expect(stdout + stderr, args.join(" ")).toMatch(/\.memento\/store\.db: EACCES: permission denied/u);
      expect(stdout + stderr).toContain("IO_FAILED");
      expect(exitCode).toBe(1);
    }
  });

  test("leaves unknown kinds of store to the library", async () => {
    await expect(openMemento(invocation(folder, "ftp://user:secret@host/db"))).rejects.toMatchObject({
      code: "PORT_UNKNOWN",
    });
  });
});
