import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../harness/engines.ts";
import { runProcess, shellEnvironment } from "../harness/process.ts";

const root = path.resolve(import.meta.dirname, "../..");
const node24 = path.join(root, "node_modules/node24/bin/node");
const env = shellEnvironment();

const registry = await requireEngine("npm registry", async () => {
  // A network that stalls once is there all the same.
  for (let tries = 1; tries <= 5; tries++) {
    const asked = runProcess("npm", ["view", "zod@4.6.7", "version"], { env, timeoutMs: 60_000 });
    if (await asked.then(({ exitCode }) => exitCode === 0).catch(() => false)) return true;
  }
  return "`npm view zod@4.6.7` failed five times";
});
const hasNode24 = await requireEngine("Node.js 24", () => {
  return existsSync(node24) ? true : "no build of it for this platform was installed";
});
const runtimes = [
  { name: `Node.js ${process.versions.node}`, node: process.execPath },
  ...(hasNode24 ? [{ name: "Node.js 24", node: node24 }] : []),
];

describe.skipIf(!registry)("the package that npm pack makes, installed into an empty folder", () => {
  let temp: string;
  let installed: string;
  let tarballs: readonly string[];

  beforeAll(async () => {
    temp = mkdtempSync(path.join(tmpdir(), "memento-packed-"));
    const packed = path.join(temp, "packed");
    const project = path.join(temp, "project");
    mkdirSync(packed);
    mkdirSync(project);
    await npm(path.join(root, "packages/memento"), ["pack", "--pack-destination", packed]);
    tarballs = readdirSync(packed).map((file) => path.join(packed, file));
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries", "5"];
    await npm(project, ["install", "--prefix", project, ...quiet, ...tarballs]);
    installed = path.join(project, "node_modules/@mementojs/memento");
  });
  afterAll(() => {
    rmSync(temp, { recursive: true, force: true });
  });

  test("holds the built library, its README and its licence, and no tests or sources", () => {
    const files = readdirSync(installed, { recursive: true, encoding: "utf8" });
    expect(files).toEqual(expect.arrayContaining(["LICENSE", "README.md", "dist/index.js", "dist/index.d.ts"]));
    expect(files.filter((file) => /\.test\.|\.tsbuildinfo$|(?<!\.d)\.ts$|^src/u.test(file))).toEqual([]);
  });

  test("goes beside each optional package at the version that the tests have, also where that was there before", async () => {
    const project = path.join(temp, "peers");
    mkdirSync(project);
    const manifest = readManifest(path.join(installed, "package.json"));
    const tested = readManifest(path.join(root, "packages/memento/package.json")).devDependencies ?? {};
    const dependencies = Object.fromEntries(
      Object.keys(manifest.peerDependencies ?? {}).flatMap((name) => {
        const version = tested[name];
        return version === undefined ? [] : [[name, version]];
      }),
    );
    expect(Object.keys(dependencies).length).toBeGreaterThan(10);
    writeFileSync(path.join(project, "package.json"), JSON.stringify({ name: "peers", private: true, dependencies }));
    // Only worked out, and nothing is fetched: npm refuses here what its ranges do not let stand together.
    await npm(project, ["install", "--package-lock-only", "--no-audit", "--no-fund", "--prefer-offline", ...tarballs]);
  });

  test("leaves it to npm which DuckDB is the newest one", async () => {
    const project = path.join(temp, "newest");
    mkdirSync(project);
    writeFileSync(path.join(project, "package.json"), JSON.stringify({ name: "newest", private: true }));
    const asked = await runProcess("npm", ["view", "@duckdb/node-api", "version"], { env, timeoutMs: 180_000 });
    await npm(project, ["install", "--package-lock-only", "--no-audit", "--no-fund", ...tarballs, "@duckdb/node-api"]);
    const { packages } = JSON.parse(readFileSync(path.join(project, "package-lock.json"), "utf8")) as {
      readonly packages: Readonly<Record<string, { readonly version?: string }>>;
    };
    expect(packages["node_modules/@duckdb/node-api"]?.version).toBe(asked.stdout.trim());
  });

  test.each(runtimes)("runs the README's first code block twice on $name", async ({ name, node }) => {
    // Below the project, so that the import finds the installed package; a folder for each Node, so that its second
    // run, and no other, meets what its first has left behind.
    const folder = path.join(temp, "project", name.replaceAll(/[^\w.]/gu, "-"));
    mkdirSync(folder);
    writeFileSync(path.join(folder, "first.ts"), firstCodeBlock());
    for (const time of ["first", "second"]) {
      const { exitCode, stderr } = await runProcess(node, ["first.ts"], { cwd: folder, env, timeoutMs: 180_000 });
      expect(exitCode, `the ${time} run said: ${stderr}`).toBe(0);
    }
  });
});

interface Manifest {
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const readManifest = (file: string): Manifest => JSON.parse(readFileSync(file, "utf8")) as Manifest;

/** The first TypeScript block of the README at the root, which must need nothing but the installed package. */
function firstCodeBlock(): string {
  const block = /^```ts\n(?<code>.*?)^```$/msu.exec(readFileSync(path.join(root, "README.md"), "utf8"));
  if (block?.groups?.["code"] === undefined) throw new Error("README.md has no ```ts code block.");
  return block.groups["code"];
}

async function npm(cwd: string, args: readonly string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await runProcess("npm", args, { cwd, env, timeoutMs: 600_000 });
  if (exitCode !== 0) throw new Error(`npm ${args.join(" ")} failed.\n${stdout}${stderr}`);
}
