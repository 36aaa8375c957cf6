import { copyFileSync, mkdtempSync, realpathSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

/** The same pipeline, whose process dies while its table is taken back. */
const DEADLY = `
import numbers from "./numbers.ts";
const deadly = (build) => (context) => new Proxy(build(context), {
  get: (sink, name) => {
    if (name === "revertTo" && process.env.DEADLY === "1") process.kill(process.pid, "SIGKILL");
    const value = Reflect.get(sink, name, sink);
    return typeof value === "function" ? value.bind(sink) : value;
  },
});
export default { ...numbers, sinks: { numbers: deadly(numbers.sinks.numbers) } };
`;

let folder: string;
let pipeline: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-resume-")));
  symlinkSync(path.resolve(import.meta.dirname, "../../../../node_modules"), path.join(folder, "node_modules"));
  pipeline = path.join(folder, "numbers.ts");
  copyFileSync(pipelineFile("numbers.ts"), pipeline);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const failing = (...more: string[]): string[] => [
  "run",
  "numbers.ts",
  "--param",
  "into=numbers.db",
  "--param",
  "failAt=45",
  ...more,
];

describe("memento resume", () => {
  test("goes on with the only unfinished run, by the file that it was loaded from", async () => {
    expect((await memento(folder, failing())).exitCode).toBe(1);
    const again = await memento(folder, ["resume"]);
    expect(again.stderr).toMatch(/resumed run \w+ at memento \S+, in the middle of read: stage prepare skipped/u);
    expect(again.stderr).toContain("the number 45 is one too many");
    expect(again.exitCode).toBe(1);
  });

  test("takes the file from elsewhere when it was moved", async () => {
    await memento(folder, failing());
    copyFileSync(pipeline, path.join(folder, "moved.ts"));
    unlinkSync(pipeline);
    const lost = await memento(folder, ["resume"]);
    expect(lost.stderr).toContain(`There is no file ${pipeline}`);
    expect(lost.exitCode).toBe(1);
    expect((await memento(folder, ["resume", "--pipeline", "moved.ts"])).stderr).toContain("resumed run");
  });

  test("asks which where several stand unfinished", async () => {
    await memento(folder, failing("--partition", "a"));
    await memento(folder, failing("--partition", "b"));
    const { stderr, exitCode } = await memento(folder, ["resume"]);
    expect(stderr).toMatch(/2 runs stand unfinished: r\w+ \(numbers@a, failed\), r\w+ \(numbers@b, failed\)/u);
    expect(exitCode).toBe(2);
  });

  test("goes on with the only unfinished run though a fork has the same id", async () => {
    await memento(folder, failing());
    await memento(folder, ["fork", "head", "--name", "try", "--param", "failAt=1000"]);
    const both = await memento(folder, ["resume"]);
    expect(both.stderr).toMatch(
      /2 runs stand unfinished: (?<id>r\w+) \(numbers, failed\), \k<id> \(numbers#try, \w+\)/u,
    );
    expect(both.stderr).toContain("--timeline NAME");
    const done = await memento(folder, ["resume", "--timeline", "numbers#try"]);
    expect(done.stderr).toContain("resumed run");
    expect(done.exitCode).toBe(0);
    expect((await memento(folder, ["resume"])).stderr).toContain("the number 45 is one too many");
    const again = await memento(folder, ["resume", "--timeline", "numbers#try"]);
    expect(again.stderr).toContain("NOTHING_TO_RESUME");
  });

  test("finishes a rollback that a kill has cut in two, and says so", async () => {
    writeFileSync(path.join(folder, "deadly.ts"), DEADLY);
    const run = ["run", "deadly.ts", "--param", "into=numbers.db"];
    expect((await memento(folder, run)).exitCode).toBe(0);
    const { hash } = JSON.parse((await memento(folder, ["plan", "3", "--json"])).stdout) as { hash: string };
    const killed = await memento(folder, ["rollback", "3", "--plan", hash], { DEADLY: "1" });
    expect(killed.signal).toBe("SIGKILL");
    const doctor = await memento(folder, ["doctor"]);
    expect(doctor.stdout).toMatch(/✗ rollback +numbers: stands unfinished; .*\n *-> memento resume r\w+/u);
    expect(doctor.exitCode).toBe(1);
    const planned = await memento(folder, ["plan", "2"]);
    expect(planned.stderr).toContain("stands unfinished");
    expect(planned.exitCode).toBe(4);
    const target = await memento(folder, ["rm", "3", "--yes"]);
    expect(target.stderr).toContain("An unfinished rollback of numbers goes back to memento");
    expect(target.exitCode).toBe(4);
    const resumed = await memento(folder, ["resume"]);
    expect(resumed.stderr).toMatch(/a rollback to \w+-3-\w+ stood unfinished and was finished first/u);
    expect(resumed.stderr).toMatch(/resumed run r\w+ at memento \w+-10-\w+/u);
    expect(resumed.exitCode).toBe(0);
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
    expect((await memento(folder, ["doctor"])).exitCode).toBe(0);
  });

  test("a rollback to the end of a run leaves nothing to run once it is finished", async () => {
    writeFileSync(path.join(folder, "deadly.ts"), DEADLY);
    expect(
      (await memento(folder, ["run", "deadly.ts", "--param", "into=numbers.db", "--param", "count=20"])).exitCode,
    ).toBe(0);
    const [end] = (JSON.parse((await memento(folder, ["ls", "--json"])).stdout) as { mementos: { id: string }[] })
      .mementos;
    expect((await memento(folder, ["run", "deadly.ts", "--param", "into=numbers.db"])).exitCode).toBe(0);
    const target = end?.id ?? "";
    const { hash } = JSON.parse((await memento(folder, ["plan", target, "--json"])).stdout) as { hash: string };
    expect((await memento(folder, ["rollback", target, "--plan", hash], { DEADLY: "1" })).signal).toBe("SIGKILL");
    const { stdout, exitCode } = await memento(folder, ["resume"]);
    expect(stdout).toMatch(/^The rollback is finished; nothing is left to run\.\nhead \S+\n$/u);
    expect(exitCode).toBe(0);
  });

  test("says that there is nothing to resume", async () => {
    expect((await memento(folder, ["init"])).exitCode).toBe(0);
    const { stderr, exitCode } = await memento(folder, ["resume"]);
    expect(stderr).toContain("NOTHING_TO_RESUME");
    expect(exitCode).toBe(1);
  });
});
