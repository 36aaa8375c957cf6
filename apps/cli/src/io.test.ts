import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { Memento } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { mementoCommand, pipelineFile } from "../../../test/harness/command-line.ts";
import { requireEngine } from "../../../test/harness/engines.ts";
import { runProcess, shellEnvironment, type ProcessResult } from "../../../test/harness/process.ts";
import { mementoOnTerminal, probeScript } from "../../../test/harness/terminal.ts";
import { shellWord } from "./terminal/shell-word.ts";

let folder: string;
let store: string;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-io-")));
  store = `sqlite:${folder}/store.db`;
  await using memento = await Memento.open(store);
  await memento.caretaker("etl").save({ id: "one" }, { id: "one" });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const script = await requireEngine("script (util-linux)", probeScript);

describe.skipIf(!script)("a question on the terminal", () => {
  test.each([
    ["Ctrl-C", "\u0003", 130, "Stopped by Ctrl-C"],
    ["Ctrl-D", "\u0004", 1, "The question was not answered"],
  ])("%s answers it: nothing is done, and no defect is spoken of", async (_name, keys, code, message) => {
    const { sent, exitCode } = await mementoOnTerminal(folder, ["rm", "one", "--store", store], {
      typed: [["[y/N]", keys]],
      env: { NO_COLOR: "1" },
    });
    expect(sent).toContain(`\nerror: ${message}\r\n  hint: Nothing was changed.\r\n  code: CANCELLED`);
    expect(exitCode).toBe(code);
    await using memento = await Memento.open(store);
    expect(await memento.caretaker("etl").load("one")).toEqual({ id: "one" });
  });

  test("an answer is taken; what turns the direction of text round is shown and not obeyed", async () => {
    await using memento = await Memento.open(store);
    await memento.caretaker("etl").save(1, { id: "two", originator: "a\u202eb" });
    const { sent, exitCode } = await mementoOnTerminal(folder, ["rm", "two", "--store", store], {
      typed: [["[y/N]", "y\r"]],
    });
    expect(sent).toContain(String.raw`a\u202eb #1`);
    expect(sent).toContain("Removed 1 memento.");
    expect(exitCode).toBe(0);
  });
});

test("a command in a folder that was removed says so, and still what its version is", async () => {
  const [file, all] = mementoCommand([]);
  const gone = path.join(folder, "gone");
  const inGone = async (...args: readonly string[]): Promise<ProcessResult> => {
    const line = [file, ...all, ...args].map((word) => shellWord(word)).join(" ");
    mkdirSync(gone);
    const options = { cwd: gone, env: shellEnvironment(), timeoutMs: 60_000 };
    return await runProcess("/bin/sh", ["-c", `rmdir ${shellWord(gone)}; exec ${line}`], options);
  };
  const { stderr, exitCode } = await inGone("ls", "--store", store);
  expect(stderr).toMatch(
    /^error: The folder in which the command was started is no longer there\n.*\n {2}code: IO_FAILED\n$/u,
  );
  expect(exitCode).toBe(1);
  expect(JSON.parse((await inGone("ls", "--json")).stdout)).toMatchObject({ error: { code: "IO_FAILED" } });
  expect(await inGone("--version")).toMatchObject({ exitCode: 0, stderr: "" });
});

describe("an output that goes away", () => {
  type Stdio = ["ignore", "pipe" | number, "pipe" | number];

  /** Starts a command with outputs of one's own; gives what is left of them, and how it ended. */
  async function start(args: readonly string[], stdio: Stdio, gone: "stdout" | "stderr" | null = null) {
    const [file, all] = mementoCommand(["--store", store, ...args]);
    const child = spawn(file, all, { cwd: folder, env: shellEnvironment(), stdio });
    if (gone !== null) child[gone]?.destroy();
    let [stdout, stderr] = ["", ""];
    child.stdout?.on("data", (data: Buffer) => (stdout += data.toString("latin1")));
    child.stderr?.on("data", (data: Buffer) => (stderr += data.toString()));
    const [exitCode] = (await once(child, "close")) as [number | null];
    return { exitCode, stdout, stderr };
  }

  const numbers = (into: string): readonly string[] => ["run", pipelineFile("numbers.ts"), "--param", `into=${into}`];

  test("a run goes on without its standard error: what it tells there is beside its result", async () => {
    const { exitCode, stdout } = await start(numbers("unheard.db"), ["ignore", "pipe", "pipe"], "stderr");
    expect(stdout).toContain(" completed in ");
    expect(exitCode).toBe(0);
  });

  test("a command that nobody reads any more, before it is done, ends as if by SIGPIPE", async () => {
    await using memento = await Memento.open(store);
    await memento.caretaker("big").saveStream([randomBytes(4_000_000)], { id: "big" });
    const { exitCode, stderr } = await start(["get", "big"], ["ignore", "pipe", "pipe"], "stdout");
    expect({ exitCode, stderr }).toEqual({ exitCode: 141, stderr: "" });
  });

  test.skipIf(!existsSync("/dev/full"))(
    "one on a full disk is said to be full; of the other one nothing is said",
    async () => {
      const full = openSync("/dev/full", "w");
      try {
        for (const json of [[], ["--json"]]) {
          const { exitCode, stderr } = await start(["ls", ...json], ["ignore", full, "pipe"]);
          expect(stderr).toMatch(/^error: Standard output cannot be written \(ENOSPC\)\n.*\n {2}code: DISK_FULL\n$/u);
          expect(exitCode).toBe(1);
        }
        const { exitCode, stdout } = await start(numbers("full.db"), ["ignore", "pipe", full]);
        expect(stdout).toContain(" completed in ");
        expect(exitCode).toBe(0);
        expect((await start(["ls", "--nope"], ["ignore", "pipe", full])).exitCode).toBe(2);
      } finally {
        closeSync(full);
      }
    },
  );
});
