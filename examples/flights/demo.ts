import { randomBytes, randomInt } from "node:crypto";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";

import { claimFolder } from "./demo-folder.ts";
import { silentScreen, terminalScreen, type Screen } from "./demo-screen.ts";
import { tellStory, type Story } from "./demo-story.ts";
import { worldIn } from "./demo-world.ts";

const RECORDS = 300_000;
const RECORDS_MIN = 60_000;

/**
 * The whole story on real data: a load is killed and resumed, corrupted and rolled back, and ends as if nothing had happened.
 * Works in `MEMENTO_DEMO_DIR`, or a fresh temporary folder, and leaves everything there. Resolves to 0 when the table is
 * what an uninterrupted run makes, to 2 for arguments that it does not take, else to 1. `--records N`: how many flights;
 * `--json`: a summary, and nothing else.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const values = valuesOf(argv);
  if (values === null) return 2;
  const records = Number(values.records);
  if (!Number.isSafeInteger(records) || records < RECORDS_MIN) {
    process.stderr.write(
      `--records takes a whole number from ${RECORDS_MIN} on, so that there is a middle to be killed in.\n`,
    );
    return 2;
  }
  const folder = demoFolder();
  const given = process.env["DEMO_WAREHOUSE_PASSWORD"] ?? "";
  // Made up where nobody gave one; it lives in memory and in the environments of the processes below, and is never shown.
  const password = given === "" ? randomBytes(18).toString("base64url") : given;
  const screen: Screen = values.json ? silentScreen : terminalScreen();
  const story: Story = {
    screen,
    records,
    firstPart: Math.floor((records * 2) / 3),
    killAt: randomInt(Math.floor(records / 5), Math.floor(records / 2)),
    world: worldIn(folder, password),
    apart: worldIn(apartFolder(folder), password),
    passwordIsMadeUp: given === "",
  };
  const summary = await tellStory(story);
  if (values.json) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
  return summary.equal ? 0 : 1;
}

/** The options that were given; null, with a word on what is wrong, for what the demonstration does not take. */
function valuesOf(argv: readonly string[]): { readonly json: boolean; readonly records: string } | null {
  try {
    return parseArgs({
      args: [...argv],
      options: { json: { type: "boolean", default: false }, records: { type: "string", default: String(RECORDS) } },
    }).values;
  } catch (error) {
    if (!(error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS")))
      throw error;
    process.stderr.write(`${error.message}\nThe demonstration takes --records N and --json.\n`);
    return null;
  }
}

function demoFolder(): string {
  const named = process.env["MEMENTO_DEMO_DIR"] ?? "";
  if (named === "") return mkdtempSync(path.join(tmpdir(), "memento-demo-"));
  return claimFolder(path.resolve(named));
}

function apartFolder(folder: string): string {
  const apart = path.join(folder, "uninterrupted");
  mkdirSync(apart, { recursive: true });
  return apart;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
