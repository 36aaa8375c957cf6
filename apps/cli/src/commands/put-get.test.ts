import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { Memento } from "@mementojs/memento";
import { systemClock, systemRandom } from "@mementojs/memento/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento } from "../../../../test/harness/command-line.ts";
import { runCli } from "../cli.ts";
import type { Io, StopSignal } from "../io.ts";

let folder: string;
const BYTES = Buffer.concat(Array.from({ length: 60 }, () => systemRandom.bytes(65_536)));

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-put-")));
  writeFileSync(path.join(folder, "dump.bin"), BYTES);
  writeFileSync(path.join(folder, "config.json"), '{"source":"a","list":[1,null]}');
  expect((await memento(folder, ["init"])).exitCode).toBe(0);
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string): string => path.join(folder, name);

/** Runs a command with standard input, in this process; what it writes as bytes is collected. */
async function withInput(
  args: readonly string[],
  input: readonly Uint8Array[],
  stopBy: StopSignal | null = null,
): Promise<{ code: number; out: Buffer; err: string }> {
  const [out, err]: [Uint8Array[], string[]] = [[], []];
  const output = { isTerminal: false, columns: 80, colours: false };
  const io: Io = {
    cwd: folder,
    env: {},
    clock: systemClock,
    out: {
      ...output,
      write: (text) => void out.push(Buffer.from(text)),
      writeBytes: async (bytes) => {
        out.push(bytes);
        await Promise.resolve();
      },
    },
    err: { ...output, write: (text) => void err.push(text) },
    input: (async function* () {
      yield* input;
      await Promise.resolve();
    })(),
    ask: null,
    onStop: (listener) => {
      if (stopBy !== null) process.nextTick(listener, stopBy);
      return () => undefined;
    },
    reserveOutput: () => undefined,
    enter: () => undefined,
    exit: () => undefined,
  };
  return { code: await runCli(args, io), out: Buffer.concat(out), err: err.join("") };
}

describe("memento put and get", () => {
  test("keep a file's bytes, and give them back in a file", async () => {
    const put = [
      "put",
      "dump.bin",
      "--caretaker",
      "backups",
      "--id",
      "dump",
      "--label",
      "day=1",
      "--meta",
      "n=7",
      "--json",
    ];
    const { stdout, exitCode } = await memento(folder, put);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      memento: { name: "dump", originator: "dump.bin", labels: { day: "1" }, metadata: { n: 7 }, isStream: true },
    });
    const got = await memento(folder, ["get", "dump", "--out", "again.bin"]);
    expect(got.stdout).toMatch(/^Wrote .*again\.bin \(3\.9 MB\)\.\n$/u);
    expect(Buffer.compare(readFileSync(at("again.bin")), BYTES)).toBe(0);
    expect((await memento(folder, ["show", "dump"])).stdout).toMatch(/stream\n {2}bytes +3,932,160\n/u);
  });

  test("take standard input, and write to standard output", async () => {
    const put = await withInput(["put", "-", "--caretaker", "backups", "--originator", "piped"], [BYTES, BYTES]);
    expect(put.code).toBe(0);
    const { code, out } = await withInput(["get", "head", "--timeline", "backups/piped"], []);
    expect(code).toBe(0);
    expect(Buffer.compare(out, Buffer.concat([BYTES, BYTES]))).toBe(0);
  });

  test("keep a state that is written as JSON, for load() too", async () => {
    await memento(folder, ["put", "config.json", "--state", "--caretaker", "etl", "--id", "config"]);
    expect(JSON.parse((await memento(folder, ["get", "config"])).stdout)).toEqual({ source: "a", list: [1, null] });
    {
      await using store = await Memento.open(`sqlite:${folder}/.memento/store.db`);
      expect(await store.caretaker("etl").load("config")).toEqual({ source: "a", list: [1, null] });
    }
    await memento(folder, ["get", "config", "--out", "config.out", "--json"]);
    expect(JSON.parse(readFileSync(at("config.out"), "utf8"))).toEqual({ source: "a", list: [1, null] });
    expect((await withInput(["put", "-", "--state", "--caretaker", "etl"], [Buffer.from("{")])).code).toBe(2);
  });

  test("overwrite a file only by --force, and then wholly", async () => {
    writeFileSync(at("taken"), "before");
    const refused = await memento(folder, ["get", "dump", "--out", "taken"]);
    expect(refused.stderr).toContain("--force");
    expect(refused.exitCode).toBe(2);
    expect(readFileSync(at("taken"), "utf8")).toBe("before");
    expect((await memento(folder, ["get", "dump", "--out", "taken", "--force"])).exitCode).toBe(0);
    expect(Buffer.compare(readFileSync(at("taken")), BYTES)).toBe(0);
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  test.each(["dump", "config"])("get ends by Ctrl-C with 130, and leaves nothing of %s behind", async (name) => {
    const { code, err } = await withInput(["get", name, "--out", "cut"], [], "SIGINT");
    expect(code).toBe(130);
    expect(err).toContain("SIGINT: no file is written");
    expect(readdirSync(folder).filter((file) => file.includes("cut"))).toEqual([]);
  });

  test("put says when a name has the content already, and never drops what was given besides", async () => {
    const put = ["put", "config.json", "--state", "--caretaker", "named", "--id", "settings", "--label", "day=1"];
    const first = await memento(folder, [...put, "--meta", "n=7", "--json"]);
    const { memento: made, alreadyThere } = JSON.parse(first.stdout) as {
      memento: { id: string };
      alreadyThere: boolean;
    };
    expect(alreadyThere).toBe(false);
    const again = await memento(folder, put);
    expect([again.exitCode, again.stdout]).toEqual([
      0,
      `Nothing to save: it is there already, ${made.id} as settings.\n`,
    ]);
    expect(JSON.parse((await memento(folder, [...put, "--json"])).stdout)).toMatchObject({
      memento: { id: made.id },
      alreadyThere: true,
    });
    for (const other of [
      ["--label", "x=2"],
      ["--meta", "n=8"],
      ["--originator", "o"],
      ["--description", "d"],
    ]) {
      const refused = await memento(folder, [...put, ...other]);
      expect([refused.exitCode, refused.stderr]).toEqual([
        1,
        expect.stringMatching(/already, with other .*--replace/su),
      ]);
      expect(refused.stderr).toContain("code: EXISTS");
    }
    expect((await memento(folder, [...put, "--description", "d", "--replace"])).stdout).toMatch(/^Saved /u);
    const stream = ["put", "dump.bin", "--caretaker", "named", "--id", "bytes"];
    expect((await memento(folder, stream)).stdout).toMatch(/^Saved /u);
    expect((await memento(folder, stream)).stdout).toMatch(/^Nothing to save: /u);
    expect((await memento(folder, [...stream, "--label", "x=2"])).stderr).toContain("code: EXISTS");
  });

  test("a state is given back as JSON that reads the same, whatever characters are in it", async () => {
    const state = JSON.stringify({ "\u009bkey": "next\u0085line \u202eturned" });
    await withInput(["put", "-", "--state", "--caretaker", "etl", "--id", "odd"], [Buffer.from(state)]);
    const { stdout } = await memento(folder, ["get", "odd"]);
    expect(JSON.parse(stdout)).toEqual(JSON.parse(state));
    expect((await memento(folder, ["get", "odd", "--json"])).stdout).toBe(stdout);
  });

  test.each([
    [Buffer.from([0x22, 0xff, 0x22]), "UTF-8"],
    [Buffer.from("[12345678901234567890]"), 'Quote it as a string: "12345678901234567890"'],
  ])("put --state refuses what it cannot keep as it stands: %s", async (bytes, message) => {
    const { code, err } = await withInput(["put", "-", "--state", "--caretaker", "etl"], [bytes]);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });

  test.each([
    [["get", "dump", "--json"], "--out FILE", 2],
    [["get", "nope"], "NOT_FOUND", 1],
    [["pin", "dump", "--until", "2020-01-01"], "INVALID_ARGUMENT", 2],
    [["put", "none", "--caretaker", "x"], "INPUT_MISSING", 1],
    [["put", "none", "--state", "--caretaker", "x"], "INPUT_MISSING", 1],
    [["put", "dump.bin"], "--caretaker", 2],
    [["put", "config.json", "--caretaker", "backups", "--id", "dump"], "EXISTS", 1],
    [["get", "dump", "--out", "no/such/folder"], "IO_FAILED", 1],
  ])("%j is refused", async (args, message, code) => {
    const { stdout, stderr, exitCode } = await memento(folder, args);
    expect(stderr + stdout).toContain(message);
    expect(exitCode).toBe(code);
    expect(existsSync(at("no"))).toBe(false);
  });
});

describe("memento stats and ls", () => {
  test("show what increments save, and sort by labels and metadata", async () => {
    const again = ["put", "dump.bin", "--caretaker", "again", "--meta", "n=9", "--label", "day=2"];
    await memento(folder, again);
    await memento(folder, [...again.slice(0, 4), "--meta", "n=10"]);
    const { stdout } = await memento(folder, ["stats", "--caretaker", "again"]);
    expect(stdout).toMatch(
      /^CARETAKER +MEMENTOS +SIZE +HELD +SAVED +STORED\nagain +2 +7\.9 MB +3\.9 MB +50% +3\.9 MB\n$/u,
    );
    const byDay = await memento(folder, ["stats", "--by", "day", "--tz", "Asia/Tokyo", "--json"]);
    expect(JSON.parse(byDay.stdout)).toMatchObject({ by: "day", groups: [{ key: expect.stringMatching(/^\d{4}-/u) }] });
    expect((await memento(folder, ["stats", "--since", "never"])).exitCode).toBe(2);

    const list = async (...args: string[]): Promise<readonly unknown[]> => {
      const listed = await memento(folder, ["ls", "--caretaker", "again", "--json", ...args]);
      return (JSON.parse(listed.stdout) as { mementos: { sequence: number }[] }).mementos.map(
        ({ sequence }) => sequence,
      );
    };
    expect(await list("--meta", "n=9")).toEqual([1]);
    expect(await list("--meta", "n=9", "--label", "day=1")).toEqual([]);
    expect(await list("--sort", "meta:n")).toEqual([1, 2]);
    expect(await list("--sort", "meta:n", "--reverse")).toEqual([2, 1]);
    expect(await list("--sort", "label:day")).toEqual([2, 1]);
    const noted = await memento(folder, ["ls", "--meta", "n=9"]);
    expect(noted.stderr).toContain("n is not declared queryable");
    expect((await memento(folder, ["ls", "--sort", "meta"])).stderr).toContain("meta:PATH");
  });

  test("neither lists the parts of streams, nor their timelines", async () => {
    const { stdout } = await memento(folder, ["ls", "--json"]);
    expect(stdout).not.toContain("memento.part");
    expect((await memento(folder, ["log"])).stdout).not.toContain("@parts");
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
  });
});
