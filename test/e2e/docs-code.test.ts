import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";

import { expect, test } from "vitest";

import { runProcess } from "../harness/process.ts";

const root = path.resolve(import.meta.dirname, "../..");
/** Inside the repository, so that packages are found as a user's project finds them. */
const cache = path.join(root, "node_modules", ".cache");

/** The code blocks of a page that are modules: each begins with an import. */
function modulesOf(page: string): string[] {
  const text = readFileSync(path.join(root, "docs", page), "utf8");
  const blocks = [...text.matchAll(/^```ts\n(?<code>.*?)^```$/gmsu)].map((match) => match.groups?.["code"] ?? "");
  // One that imports a file of the reader's own cannot be checked here.
  return blocks.filter((code) => code.startsWith("import ") && !code.includes('from "./'));
}

test("every module in docs/ fits the types of the packages", async () => {
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(path.join(cache, "docs-"));
  try {
    let count = 0;
    for (const page of readdirSync(path.join(root, "docs")).filter((name) => name.endsWith(".md"))) {
      for (const code of modulesOf(page)) {
        count += 1;
        writeFileSync(path.join(folder, `${page.replace(/\.md$/, "")}-${count}.ts`), code);
      }
    }
    const options = { noEmit: true, noUnusedLocals: false, isolatedDeclarations: false, types: ["node"] };
    const config = { extends: path.join(root, "tsconfig.json"), compilerOptions: options, include: ["*.ts"] };
    writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(config));
    const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc");
    const { exitCode, stdout } = await runProcess(process.execPath, [tsc, "-p", folder], { timeoutMs: 300_000 });
    expect(stdout).toBe("");
    expect(exitCode).toBe(0);
    expect(count).toBeGreaterThan(15);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 400_000);
