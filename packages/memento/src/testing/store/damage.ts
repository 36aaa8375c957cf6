import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { isMementoError, type ErrorCode } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import type { MementoStore } from "../../store/store.ts";
import { allAnswers } from "./answers.ts";
import { collect } from "./kit.ts";

/** What a probe of a store came to: damage that was found, or the answers. */
export type ProbeResult = { readonly damage: readonly string[] } | { readonly answers: Json };

/** What `flipEveryByte` and `cutEveryByte` need. */
export interface DamageOptions {
  /** The folder that holds a closed store. It is changed and put back; give it a copy. */
  readonly folder: string;
  /** Its files to damage, by their paths inside the folder; all of them by default. */
  readonly files?: readonly string[];
  /** Opens the store. */
  readonly open: () => Promise<MementoStore>;
  /** Asks the store for all that it knows; `probeStore` by default. */
  readonly probe?: (store: MementoStore) => Promise<ProbeResult>;
  /** Error codes that count as "damage was found", besides DAMAGED; FORMAT_UNKNOWN by default. */
  readonly found?: readonly ErrorCode[];
  /** Every how many bytes one is damaged; 1 by default. */
  readonly every?: number;
  /** The bits of a byte that are flipped; all of them (0xff) by default. */
  readonly mask?: number;
}

/** What became of the damage. */
export interface DamageReport {
  readonly tried: number;
  /** Found by an error, or by `check`. */
  readonly found: number;
  /** Not found, and no answer was changed by it: the bytes are not in use. */
  readonly harmless: number;
}

/**
 * Changes one byte of a store after the other, each time in an otherwise sound copy, and fails unless the store either
 * finds the damage or gives every answer as before.
 */
export async function flipEveryByte(options: DamageOptions): Promise<DamageReport> {
  const { mask = 0xff } = options;
  return await damageEverywhere(options, "flipped", (content, offset) => {
    const changed = Buffer.from(content);
    changed[offset] = (changed[offset] ?? 0) ^ mask;
    return changed;
  });
}

/** As `flipEveryByte`, but each file loses its end from the byte on. */
export async function cutEveryByte(options: DamageOptions): Promise<DamageReport> {
  return await damageEverywhere(options, "cut", (content, offset) => content.subarray(0, offset));
}

/** Asks a store that the kit's fixture filled for everything that it knows, and for what it finds wrong with itself. */
export async function probeStore(store: MementoStore): Promise<ProbeResult> {
  const damage = (await collect(store.check())).map(({ problem }) => problem);
  return damage.length > 0 ? { damage } : { answers: await allAnswers(store) };
}

async function damageEverywhere(
  options: DamageOptions,
  verb: string,
  change: (content: Buffer, offset: number) => Buffer,
): Promise<DamageReport> {
  const { folder, every = 1 } = options;
  const sound = readFolder(folder);
  const before = await probe(options);
  assert.ok("answers" in before, `the store is sound at the start: ${JSON.stringify(before)}`);
  const wanted = JSON.stringify(before.answers);
  const report = { tried: 0, found: 0, harmless: 0 };
  for (const file of options.files ?? [...sound.keys()]) {
    const content = sound.get(file);
    assert.ok(content, `${file} is a file of the store`);
    for (let offset = 0; offset < content.length; offset += every) {
      restoreFolder(folder, sound);
      writeFileSync(join(folder, file), change(content, offset));
      const result = await probe(options);
      report.tried += 1;
      if ("damage" in result) report.found += 1;
      else if (JSON.stringify(result.answers) === wanted) report.harmless += 1;
      else assert.fail(`byte ${offset} of ${file} was ${verb}: nothing was found, and an answer is another one`);
    }
  }
  restoreFolder(folder, sound);
  return report;
}

async function probe({
  open,
  probe: ask = probeStore,
  found = ["FORMAT_UNKNOWN"],
}: DamageOptions): Promise<ProbeResult> {
  try {
    await using store = await open();
    return await ask(store);
  } catch (error) {
    // A plain Error would mean that damage was met where nobody looked for it.
    if (isMementoError(error) && ["DAMAGED", ...found].includes(error.code)) return { damage: [error.message] };
    throw error;
  }
}

function readFolder(folder: string): Map<string, Buffer> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(folder.length + 1), readFileSync(path)];
    }),
  );
}

/** Puts every file back as it was, and takes away what the last probe left beside them. */
function restoreFolder(folder: string, sound: ReadonlyMap<string, Buffer>): void {
  const present = readFolder(folder);
  for (const file of present.keys()) if (!sound.has(file)) rmSync(join(folder, file));
  for (const [file, content] of sound) {
    if (present.get(file)?.equals(content) !== true) writeFileSync(join(folder, file), content);
  }
}
