import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { contentOf, worldIn } from "../../examples/flights/demo-world.ts";
import { memento } from "../harness/command-line.ts";
import { runProcess, shellEnvironment } from "../harness/process.ts";
import type { ProcessResult } from "../harness/process.ts";
import { publicData } from "../harness/source-reading.ts";

const root = path.resolve(import.meta.dirname, "../..");
const example = (name: string): string => path.join(root, "examples", name);
const PASSWORD = "kept by nobody: 7Qx/+=&";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-examples-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function runExample(name: string): Promise<ProcessResult> {
  return await runProcess(process.execPath, [example(name)], {
    cwd: folder,
    env: shellEnvironment(),
    timeoutMs: 120_000,
  });
}

describe("README.md", () => {
  test.each([
    ["three-lines.ts", 0],
    ["quickstart.ts", 1],
    ["roll-back.ts", 2],
  ])("has %s, as it runs here, as its code block %i", (name, index) => {
    const blocks = [...readFileSync(path.join(root, "README.md"), "utf8").matchAll(/^```ts\n(?<code>.*?)^```$/gmsu)];
    expect(blocks[index]?.groups?.["code"]).toBe(readFileSync(example(name), "utf8"));
  });

  test("shows code that survives a crash by its line 15", () => {
    const lines = readFileSync(path.join(root, "README.md"), "utf8").split("\n");
    expect(lines.slice(0, 15).some((line) => line.includes(".save("))).toBe(true);
    expect(lines[14]).toBe("```");
  });
});

describe("examples/three-lines.ts", () => {
  test("goes on at the next page after SIGKILL, and has nothing left to do in the end", async () => {
    const before = await killedAtPage(120);
    const { exitCode, stdout, stderr } = await runExample("three-lines.ts");
    expect(exitCode, stderr).toBe(0);
    const after = pagesOf(stdout);
    // The page that was under way at the kill may have been saved or not.
    expect([before.length, before.length + 1]).toContain(after[0]);
    expect(after.at(-1)).toBe(500);
    expect(after).toHaveLength(501 - (after[0] ?? 0));
    expect((await runExample("three-lines.ts")).stdout).toBe("");
  });
});

async function killedAtPage(page: number): Promise<number[]> {
  const halt = `data:text/javascript,${encodeURIComponent(haltAfter(page + 20))}`;
  const args = ["--import", halt, example("three-lines.ts")];
  const child = spawn(process.execPath, args, { cwd: folder, env: shellEnvironment() });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (more: string) => {
    text += more;
    if (text.includes(`page ${page}\n`)) child.kill("SIGKILL");
  });
  const signal = await new Promise((resolve, reject) => {
    child.on("error", reject).on("close", (_exitCode, by) => resolve(by));
  });
  expect(signal).toBe("SIGKILL");
  return pagesOf(text);
}

/** Makes a program wait for its end once it has printed a page: it must not be through before it is killed. */
const haltAfter = (page: number): string => `
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = (text) => {
    write(text);
    if (text === "page ${page}\\n") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600_000);
    return true;
  };`;

const pagesOf = (text: string): number[] => [...text.matchAll(/^page (\d+)$/gmu)].map((match) => Number(match[1]));

describe("examples/quickstart.ts and examples/roll-back.ts", () => {
  const readings = (): number => {
    using database = new DatabaseSync(path.join(folder, "readings.db"), { readOnly: true });
    return Number(database.prepare("SELECT count(*) AS rows FROM readings").get()?.["rows"]);
  };

  test("load, take the load back with its data, and load it again", async () => {
    expect((await runExample("quickstart.ts")).stdout).toBe("completed: 19979 good readings, 21 set aside\n");
    expect(readings()).toBe(19_979);
    const back = await runExample("roll-back.ts");
    expect(back.exitCode, back.stderr).toBe(0);
    expect(back.stdout).toContain("20000 records to read again");
    expect(back.stdout).toContain("revert, 19979 rows to remove");
    expect(readings()).toBe(0);
    expect((await runExample("quickstart.ts")).stdout).toBe("completed: 19979 good readings, 21 set aside\n");
    expect(readings()).toBe(19_979);
    expect((await runExample("quickstart.ts")).stdout).toBe("completed: 0 good readings, 0 set aside\n");
    expect(readings()).toBe(19_979);
  });
});

describe("examples/flights/pipeline.ts", () => {
  const load = async (input: string, environment: NodeJS.ProcessEnv): Promise<ProcessResult> => {
    const params = ["--param", `input=${input}`, "--param", "into=warehouse.db", "--param", "limit=2000"];
    return await memento(folder, ["run", example("flights/pipeline.ts"), ...params], environment);
  };
  const password = { DEMO_WAREHOUSE_PASSWORD: PASSWORD };

  test.each(["flights-3m.parquet", "flights-200k.json", "flights-2k.json"])("loads %s", async (name) => {
    const { exitCode, stderr } = await load(publicData(name), password);
    expect(exitCode, stderr).toBe(0);
    const { flights, quarantined } = contentOf(worldIn(folder, PASSWORD));
    expect(flights.rows + quarantined).toBe(2_000);
  });

  test("loads a CSV file, to the same rows as the JSON file that it was made of", async () => {
    const file = publicData("flights-2k.json");
    expect((await load(file, password)).exitCode).toBe(0);
    const expected = contentOf(worldIn(folder, PASSWORD));
    for (const name of readdirSync(folder)) rmSync(path.join(folder, name), { recursive: true });
    const records = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>[];
    const columns = Object.keys(records[0] ?? {});
    const lines = [columns.join(","), ...records.map((record) => columns.map((column) => record[column]).join(","))];
    writeFileSync(path.join(folder, "flights.csv"), `${lines.join("\n")}\n`);
    const { exitCode, stderr } = await load("flights.csv", password);
    expect(exitCode, stderr).toBe(0);
    expect(contentOf(worldIn(folder, PASSWORD))).toEqual(expected);
  });

  test("sets dirty records aside, each with what is wrong with it", async () => {
    const file = path.join(folder, "dirty.jsonl");
    const good = { date: "2001/01/01 06:55", delay: -19, distance: 1_797, origin: "LAX", destination: "BNA" };
    const dirty = [
      { ...good, delay: -1_116 },
      { ...good, destination: "LAX" },
      { ...good, date: "yesterday" },
      { ...good, distance: 0 },
      { ...good, origin: "la" },
      { delay: 1, distance: 5 },
    ];
    writeFileSync(file, [good, ...dirty].map((record) => `${JSON.stringify(record)}\n`).join(""));
    expect((await load(file, password)).exitCode).toBe(0);
    using database = new DatabaseSync(path.join(folder, "warehouse.db"), { readOnly: true });
    const set = database.prepare("SELECT issues FROM flights_quarantine ORDER BY rowid").all();
    expect(set.map(({ issues }) => String(issues).split(":")[0])).toEqual([
      "delay",
      "destination",
      "date",
      "distance",
      "origin",
      "date",
    ]);
    expect(
      database
        .prepare("SELECT id, day, minute, origin FROM flights")
        .all()
        .map((row) => ({ ...row })),
    ).toEqual([{ id: 1, day: "2001-01-01", minute: 415, origin: "LAX" }]);
  });

  test("loads nothing without the warehouse's password, and leaves no table behind", async () => {
    const { exitCode, stderr } = await load(publicData("flights-2k.json"), {});
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/CREDENTIAL_UNAVAILABLE/u);
    expect(readdirSync(folder).filter((name) => name.startsWith("warehouse"))).toEqual([]);
  });

  test("loads nothing with a wrong password", async () => {
    const file = publicData("flights-2k.json");
    expect((await load(file, password)).exitCode).toBe(0);
    const before = contentOf(worldIn(folder, PASSWORD));
    const refused = await load(publicData("flights-2k.json"), { DEMO_WAREHOUSE_PASSWORD: "a guess" });
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/refused the password/u);
    expect(contentOf(worldIn(folder, PASSWORD))).toEqual(before);
  });
});

describe("memento demo", () => {
  test("ends 0 with both tables equal, and leaves the password nowhere", async () => {
    const demo = path.join(folder, "demo");
    const environment = { MEMENTO_DEMO_DIR: demo, DEMO_WAREHOUSE_PASSWORD: PASSWORD };
    const { exitCode, stdout, stderr } = await memento(folder, ["demo", "--records", "60000"], environment);
    expect(exitCode, stdout + stderr).toBe(0);
    expect(stdout).toMatch(/content \(SHA-256\) +(?<digest>[\da-f]{24}) +\k<digest> +equal/u);
    const spellings = ["utf8", "base64", "base64url", "hex"].map((encoding) =>
      Buffer.from(PASSWORD).toString(encoding as BufferEncoding),
    );
    spellings.push(encodeURIComponent(PASSWORD));
    const files = readdirSync(demo, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const written = files.map(({ parentPath, name }) => readFileSync(path.join(parentPath, name)));
    expect(written.length).toBeGreaterThan(4);
    for (const text of [stdout, stderr, ...written]) {
      for (const spelling of spellings) expect(text.includes(spelling)).toBe(false);
    }
    const verified = await memento(demo, ["verify", "--store", "sqlite:store.db"]);
    expect(verified.exitCode, verified.stdout).toBe(0);
  });

  test("refuses a folder with files of somebody else's", async () => {
    writeFileSync(path.join(folder, "thesis.txt"), "years of work");
    const { exitCode, stderr } = await memento(folder, ["demo"], { MEMENTO_DEMO_DIR: folder });
    expect(exitCode).toBe(1);
    expect(stderr).toContain("holds files that the demo did not make");
    expect(readdirSync(folder)).toEqual(["thesis.txt"]);
  });
});
