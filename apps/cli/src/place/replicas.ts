import path from "node:path";

import { Memento, type Replica } from "@mementojs/memento";

import type { Io } from "../io.ts";
import { namedPlace, noStoreAt } from "./store-place.ts";

/** Places to repair from, opened; disposing of them closes them. */
export interface OpenReplicas extends AsyncDisposable {
  readonly replicas: readonly Replica[];
}

/** Opens stores by their URLs, and portable files by their paths, in their order. */
export async function openReplicas(
  damaged: Memento,
  places: readonly string[],
  io: Pick<Io, "cwd" | "env">,
): Promise<OpenReplicas> {
  await using opened = new AsyncDisposableStack();
  const replicas: Replica[] = [];
  for (const place of places) {
    const memento = opened.use(
      place.endsWith(".memento") ? await unpacked(damaged, path.resolve(io.cwd, place)) : await store(place, io),
    );
    replicas.push({ name: place.endsWith(".memento") ? place : memento.vault.store.url, vault: memento.vault });
  }
  const kept = opened.move();
  return { replicas, [Symbol.asyncDispose]: async () => await kept.disposeAsync() };
}

async function store(place: string, { cwd, env }: Pick<Io, "cwd" | "env">): Promise<Memento> {
  const found = namedPlace(place, "option", cwd);
  if (!found.exists) throw noStoreAt(found, "--from");
  return await Memento.open(found.url, { create: false, environment: env });
}

/** A portable file, in a store of this process. It is sealed by the same keys, or by none. */
async function unpacked(damaged: Memento, file: string): Promise<Memento> {
  const memento = await Memento.open("memory:", { keys: damaged.vault.ring ?? false });
  try {
    await memento.importFrom(file, damaged.vault.ring === null ? {} : { keys: damaged.vault.ring });
    return memento;
  } catch (error) {
    await memento.close();
    throw error;
  }
}
