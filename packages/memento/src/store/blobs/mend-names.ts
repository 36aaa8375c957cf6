import { posix as nodePath } from "node:path";

import type { StoreDamage } from "../store.ts";
import type { Catalogue, StoreParts } from "./catalogue.ts";
import { problemOr } from "./check-log.ts";
import { frameJson } from "./frame.ts";
import { STREAM_BYTES_MAX } from "./log-reader.ts";
import type { Names, WrittenClaim } from "./names.ts";
import { claimFile, logPosition } from "./paths.ts";
import { compareRows, timelineRows, type LogRow } from "./rows.ts";

/** Writes damaged and missing claims of names anew, by what the logs say; gives what differs. */
export async function mendNames(
  parts: StoreParts & { readonly catalogue: Catalogue; readonly names: Names },
  dryRun: boolean,
): Promise<readonly StoreDamage[]> {
  const { files, paths, names } = parts;
  const owners = await lastOwners(parts);
  const changes: StoreDamage[] = [];
  const folders = new Set([...owners.keys()].map((folder) => nodePath.basename(folder)));
  for await (const name of files.list(paths.names)) folders.add(name);
  for (const name of [...folders].toSorted()) {
    const folder = nodePath.join(paths.names, name);
    const damaged: number[] = [];
    let [sound, newest] = [0, 0];
    for await (const file of files.list(folder)) {
      const generation = logPosition(file);
      if (generation === null) continue;
      newest = Math.max(newest, generation);
      if ((await problemOr(() => names.read(folder, generation))).problem === null) sound += 1;
      else damaged.push(generation);
    }
    const owner = owners.get(folder);
    if (damaged.length === 0 && (sound > 0 || owner === undefined)) continue;
    const problem = `The claims of a name in ${folder} are ${damaged.length > 0 ? "damaged" : "missing"}`;
    changes.push({ problem, mementos: owner === undefined ? [] : [owner.entry.id], timeline: null });
    if (!dryRun) await claimAnew(parts, folder, owner, newest, damaged);
  }
  return changes;
}

async function claimAnew(
  { files }: StoreParts,
  folder: string,
  owner: LogRow | undefined,
  newest: number,
  damaged: readonly number[],
): Promise<void> {
  if (owner !== undefined) {
    const { caretaker, name = "", id } = owner.entry;
    const written: WrittenClaim = { caretaker, name, generation: newest + 1, id };
    await files.ensureFolder(folder);
    await files.createIfAbsent(claimFile(folder, newest + 1), await frameJson("name", written));
  }
  for (const generation of damaged) await files.remove(claimFile(folder, generation));
  await files.settle(folder);
}

/** The last memento of the log that was given each name, by the name's folder. */
async function lastOwners({
  catalogue,
  paths,
}: StoreParts & { readonly catalogue: Catalogue }): Promise<Map<string, LogRow>> {
  const owners = new Map<string, LogRow>();
  for await (const timeline of catalogue.all(null)) {
    await timeline.caretaker.refresh();
    const wanted = { order: "ascending", after: null, heldBytes: STREAM_BYTES_MAX } as const;
    for await (const row of timelineRows(timeline, wanted)) {
      if (row.entry.name === undefined) continue;
      const folder = paths.name(row.entry.caretaker, row.entry.name);
      const other = owners.get(folder);
      if (other === undefined || compareRows(other, row) < 0) owners.set(folder, row);
    }
  }
  return owners;
}
