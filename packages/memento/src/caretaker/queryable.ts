import { MementoError } from "../core/errors.ts";
import type { Json, JsonObject } from "../core/json.ts";
import type { Vault } from "../vault/vault.ts";
import { readAllSettings, readSettings } from "./caretaker-record.ts";

/** What a metadata path leads to: a key of that very name, or a member of a member, as in `owner.team`; undefined when nothing is there. */
export function metadataAt(metadata: Readonly<Record<string, unknown>>, path: string): unknown {
  if (Object.hasOwn(metadata, path)) return metadata[path];
  let value: unknown = metadata;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}

/** What JSON makes of a metadata value; undefined for what it has no form for. */
export function jsonOf(value: unknown): Json | undefined {
  const text: string | undefined = typeof value === "bigint" ? undefined : JSON.stringify(value);
  return text === undefined ? undefined : (JSON.parse(text) as Json);
}

/** The part of metadata that is kept in the clear: exactly the declared paths that are there, each by its path. UNSUPPORTED_VALUE for one that JSON cannot hold. */
export function clearMetadata(metadata: Readonly<Record<string, unknown>>, declared: readonly string[]): JsonObject {
  const clear: Record<string, Json> = {};
  for (const path of declared) {
    const value = metadataAt(metadata, path);
    if (value === undefined) continue;
    const json = jsonOf(value);
    if (json === undefined) {
      throw new MementoError("UNSUPPORTED_VALUE", `metadata.${path} is declared queryable, and JSON cannot hold it`, {
        details: { path: `metadata.${path}` },
      });
    }
    clear[path] = json;
  }
  return clear;
}

/** The metadata paths that a caretaker's policy declares as queryable; without a caretaker those that all with mementos declare. */
export async function declaredPaths(vault: Vault, caretaker: string | null): Promise<ReadonlySet<string>> {
  if (caretaker !== null) return new Set((await readSettings(vault, caretaker)).policy.queryable);
  const settings = await readAllSettings(vault);
  const names = new Set<string>();
  for await (const { record, head } of vault.store.timelines(null)) if (head !== null) names.add(record.caretaker);
  const declared = [...names].map((name) => new Set(settings.get(name)?.policy.queryable));
  return declared.reduce((all, each) => all.intersection(each), declared[0] ?? new Set<string>());
}
