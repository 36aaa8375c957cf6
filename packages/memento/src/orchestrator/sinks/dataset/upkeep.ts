import { posix } from "node:path";

import { isMementoError } from "../../../core/errors.ts";
import { randomText } from "../../../core/ids.ts";
import { systemCode } from "../../../core/path-errors.ts";
import type { Clock, Random } from "../../../core/ports.ts";
import { ioError } from "../../../store/file/io-errors.ts";
import type { Chain } from "./chain.ts";
import type { DatasetFiles } from "./files.ts";
import { LAYOUT, versionText } from "./layout.ts";
import type { DatasetFormat } from "./options.ts";
import type { DatasetState } from "./state.ts";

/** What upkeep works with. */
export interface UpkeepPorts {
  readonly chain: Chain;
  readonly files: DatasetFiles;
  readonly clock: Clock;
  readonly random: Random;
  readonly format: DatasetFormat;
  readonly graceMs: number;
}

/** Files that no version lists are of a write under way, or of one that was killed: they are swept after this long. */
const LEFT_BEHIND_MS = 3_600_000;
/** Folders behind `current` that it no longer points to, for who has just opened one. */
const VIEW_MS = 60_000;

/**
 * Takes away the files that no version needs, once the grace period is over, and what killed writes left. A version says so
 * first: a writer that slept on one of these files then fails to publish it, looks, and writes it anew.
 */
export async function collect(ports: UpkeepPorts): Promise<void> {
  const { chain, clock, format, graceMs } = ports;
  for (;;) {
    const state = await chain.refresh();
    if (state.version === 0) return;
    const now = clock.now();
    const paths = [...state.garbage].filter(([, since]) => since + graceMs <= now).map(([path]) => path);
    paths.push(...(await leftBehind(ports, state, now)));
    if (paths.length === 0) return;
    if (!(await chain.commit({ kind: "collect", paths }, format))) continue;
    for (const path of paths) await chain.durable.remove(chain.path(path));
    return;
  }
}

async function leftBehind({ chain, files, graceMs }: UpkeepPorts, state: DatasetState, now: number): Promise<string[]> {
  const known = state.neededPaths();
  const paths: string[] = [];
  for (const folder of [LAYOUT.files, LAYOUT.kept]) {
    for await (const name of chain.durable.list(chain.path(folder))) {
      const path = posix.join(folder, name);
      if (known.has(path) || state.garbage.has(path)) continue;
      if ((await ageOf(files, chain.path(path), now)) > Math.max(graceMs, LEFT_BEHIND_MS)) paths.push(path);
    }
  }
  return paths;
}

/**
 * Points `current` to a folder with the newest version's files, so that a reader of `current/*` meets one version whole. Files
 * in it are further names of those in `files`.
 */
export async function renewView({ chain, files, clock, random }: UpkeepPorts): Promise<void> {
  const state = await chain.refresh();
  if (state.version === 0) return;
  const mark = `${versionText(state.version)}-`;
  const pointed = await pointedTo(files, chain);
  if (pointed?.startsWith(mark) === true) return;
  const view = mark + randomText(random, 6);
  const folder = posix.join(LAYOUT.views, view);
  await chain.durable.ensureFolder(chain.path(folder));
  for (const stream of state.streams.values()) {
    for (const [name, { path }] of stream.files)
      // A file that somebody took away is missing here too.
      await unless("ENOENT", chain.path(path), () =>
        files.link(chain.path(path), chain.path(posix.join(folder, name))),
      );
  }
  await chain.durable.settle(chain.path(folder));
  const link = posix.join(LAYOUT.temporary, `v${randomText(random, 10)}`);
  await chain.durable.ensureFolder(chain.path(LAYOUT.temporary));
  // The link moves to the dataset's folder, and is read from there.
  await unless(null, chain.path(link), () => files.linkFolder(folder, chain.path(link)));
  await unless(null, chain.path(LAYOUT.current), () => files.rename(chain.path(link), chain.path(LAYOUT.current)));
  await chain.durable.settle(chain.path("."));
  await removeOldViews({ chain, files, clock }, view);
}

async function pointedTo(files: DatasetFiles, chain: Chain): Promise<string | null> {
  const target = await unless("ENOENT", chain.path(LAYOUT.current), () => files.readLink(chain.path(LAYOUT.current)));
  return target === undefined ? null : posix.basename(target);
}

async function removeOldViews(
  { chain, files, clock }: Pick<UpkeepPorts, "chain" | "files" | "clock">,
  newest: string,
): Promise<void> {
  for await (const name of chain.durable.list(chain.path(LAYOUT.views))) {
    const folder = chain.path(posix.join(LAYOUT.views, name));
    if (name >= newest || (await ageOf(files, folder, clock.now())) < VIEW_MS) continue;
    for await (const file of chain.durable.list(folder)) await chain.durable.remove(posix.join(folder, file));
    // Another process may be at the same.
    await unless("ENOENT", folder, () => files.removeFolder(folder));
  }
}

/** Milliseconds since a file was last written; negative for one that is gone. */
async function ageOf(files: DatasetFiles, path: string, now: number): Promise<number> {
  const modifiedAt = await unless("ENOENT", path, () => files.modifiedAt(path));
  return modifiedAt === undefined ? -1 : now - modifiedAt;
}

async function unless<T>(code: string | null, path: string, call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (code !== null && systemCode(error) === code) return undefined;
    throw isMementoError(error) ? error : ioError(error, "renew", path);
  }
}
