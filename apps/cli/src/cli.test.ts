import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento, mementoCommand, pipelineFile } from "../../../test/harness/command-line.ts";
import { requireEngine } from "../../../test/harness/engines.ts";
import { shellEnvironment } from "../../../test/harness/process.ts";
import { mementoOnTerminal, probeScript, type TerminalResult } from "../../../test/harness/terminal.ts";

const COMMANDS = [
  "init",
  "demo",
  "run",
  "resume",
  "pause",
  "log",
  "ls",
  "show",
  "diff",
  "plan",
  "rollback",
  "fork",
  "verify",
  "doctor",
  "rm",
  "copy",
  "sync",
  "backup",
  "restore-backup",
  "check-store",
];

let folder: string;

beforeAll(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-cli-")));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("memento", () => {
  test("--version is the package's", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    for (const flag of ["-v", "--version"]) expect((await memento(folder, [flag])).stdout).toBe(`${version}\n`);
  });

  test("--help groups the commands, names the exit codes, and ends 0", async () => {
    const { stdout, exitCode } = await memento(folder, ["--help"]);
    expect(stdout).toMatch(/Begin:[\s\S]*Run:[\s\S]*Look:[\s\S]*Go back:[\s\S]*Keep:/u);
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${command}\\b`, "mu"));
    expect(stdout).toMatch(/^ {2}4 +refused: /mu);
    expect(exitCode).toBe(0);
  });

  test.each([[["rollback"]], [["keys", "rotate"]]])("help %j is what --help shows", async (names) => {
    const { stdout, exitCode } = await memento(folder, ["help", ...names]);
    expect(stdout).toBe((await memento(folder, [...names, "--help"])).stdout);
    expect(exitCode).toBe(0);
    expect((await memento(folder, ["help"])).stdout).toBe((await memento(folder, ["--help"])).stdout);
  });

  test("without a command shows its help, and ends like a wrong command line", async () => {
    const { stdout, stderr, exitCode } = await memento(folder, []);
    expect(stdout).toBe("");
    expect(stderr).toContain("Usage: memento");
    expect(exitCode).toBe(2);
  });

  test.each(COMMANDS)("%s has examples and exit codes in its help", async (command) => {
    const { stdout, exitCode } = await memento(folder, [command, "--help"]);
    expect(stdout).toContain("Examples:\n  memento ");
    expect(stdout).toMatch(/Exit codes:\n {2}0 +done\n {2}1 +failed\n {2}2 /u);
    expect(stdout).toContain("--json");
    expect(exitCode).toBe(0);
  });

  test.each([
    [["nope"], "unknown command 'nope'"],
    [["lgo"], "Did you mean log?"],
    [["help", "rollbak"], "Did you mean rollback?"],
    [["help", "keys", "rotat"], "Did you mean rotate?"],
    [["ls", "--nope"], "unknown option '--nope'"],
    [["show"], "missing required argument"],
    [["show", "a", "b"], "too many arguments"],
    [["ls", "--limit"], "argument missing"],
  ])("%j is a wrong command line, for people and for programs", async (args, message) => {
    const people = await memento(folder, args);
    expect(people.stderr).toMatch(/^error: .*\n {2}hint: .*\n {2}code: INVALID_ARGUMENT\n$/u);
    expect(people.stderr).toContain(message);
    expect(people.stdout).toBe("");
    expect(people.exitCode).toBe(2);
    const programs = await memento(folder, [...args, "--json"]);
    expect((JSON.parse(programs.stdout) as { error: { message: string } }).error.message).toContain(
      message.replace("argument missing", ""),
    );
    expect(programs.exitCode).toBe(2);
  });

  test.each([
    ["ls"],
    ["log"],
    ["verify"],
    ["doctor"],
    ["show", "head"],
    ["diff", "a", "b"],
    ["plan", "head"],
    ["pause", "r1"],
    ["resume"],
  ])("%s --json without a store is one JSON document too", async (...args) => {
    const { stdout, stderr, exitCode } = await memento(folder, ["--json", ...args]);
    expect(stdout).toContain("NOT_A_STORE");
    expect(() => JSON.parse(stdout) as unknown).not.toThrow();
    expect(stderr).toBe("");
    expect(exitCode).toBe(1);
  });

  test("a reader that leaves early is no error", async () => {
    expect((await memento(folder, ["run", pipelineFile("several.ts"), "--name", "one"])).exitCode).toBe(0);
    const [file, args] = mementoCommand(["ls", "--json"]);
    const child = spawn(file, args, { cwd: folder, env: shellEnvironment(), stdio: ["ignore", "pipe", "pipe"] });
    let stderr = "";
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    child.stdout.destroy();
    const [code] = (await once(child, "close")) as [number];
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });
});

const script = await requireEngine("script (util-linux)", probeScript);

describe.skipIf(!script)("memento on a terminal", () => {
  const onTerminal = async (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<TerminalResult> =>
    await mementoOnTerminal(folder, args, { env });

  test("has colours, and a line of progress that is cleared at the end", async () => {
    const run = [
      "run",
      pipelineFile("numbers.ts"),
      "--param",
      "into=numbers.db",
      "--param",
      "count=60",
      "--param",
      "waitMs=20",
    ];
    const { sent, exitCode } = await onTerminal(run);
    expect(sent).toMatch(/\r␛\[2K␛\[36m[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]␛\[39m ␛\[1mread 2\/4␛\[22m {2}\d+ records/u);
    expect(sent).toContain("␛[32m✓␛[39m read: 60 records in ");
    expect(sent.lastIndexOf("\r␛[2K")).toBeLessThan(sent.indexOf("␛[32mcompleted"));
    expect(sent).not.toContain("started\r\nstage");
    expect(exitCode).toBe(0);
  });

  test("has none with NO_COLOR, or on a terminal that knows none", async () => {
    for (const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }]) {
      const { sent } = await onTerminal(["log"], env);
      expect(sent).toContain("●");
      expect(sent).not.toContain("␛[");
    }
    expect((await onTerminal(["log"])).sent).toContain("␛[36m●␛[39m");
  });

  test("an error's exit code is that of the command", async () => {
    const { sent, exitCode } = await onTerminal(["show", "nope"]);
    expect(sent).toContain("␛[31merror:␛[39m There is no memento nope");
    expect(exitCode).toBe(1);
  });
});
