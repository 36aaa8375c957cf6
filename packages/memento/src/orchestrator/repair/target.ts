import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress, type TimelineState } from "../../core/timeline.ts";
import { mementoQuery, type MementoQuery } from "../../store/query.ts";
import type { Vault } from "../../vault/vault.ts";

/**
 * Finds the memento that a person means on a timeline: a full id, `head`, `head~2` (two before it), `17` (a sequence number),
 * `stage:load` (the newest taken at the end of that stage), `start` (the newest first memento of a run), a name, or the
 * beginning of an id. NOT_FOUND where there is none, INVALID_ARGUMENT where several fit.
 */
export async function resolveTarget(vault: Vault, state: TimelineState, text: string): Promise<string> {
  const timeline = state.record.key;
  const where = describeAddress(state.record);
  if (parseMementoId(text)?.timeline === timeline) return text;
  const back = /^head(?:~(\d{1,9}))?$/.exec(text);
  if (back !== null) return await nth(vault, { timeline }, Number(back[1] ?? 0), `${where} has no memento ${text}`);
  if (/^\d{1,15}$/.test(text)) {
    const found = await first(vault, { timeline }, (entry) => entry.sequence === Number(text));
    if (found !== null) return found;
  }
  if (text.startsWith("stage:")) {
    const stage = text.slice("stage:".length);
    return await nth(
      vault,
      { timeline, stage, reason: "stage" },
      0,
      `${where} has no memento of the end of stage ${stage}`,
    );
  }
  if (text === "start") return await nth(vault, { timeline, reason: "start" }, 0, `${where} has no run`);
  const named = await vault.store.findByName(state.record.caretaker, text);
  if (named !== null && parseMementoId(named)?.timeline === timeline) return named;
  return await byPrefix(vault, timeline, text, where);
}

async function byPrefix(vault: Vault, timeline: string, text: string, where: string): Promise<string> {
  const found: string[] = [];
  for await (const { entry } of vault.store.query(mementoQuery({ timeline })))
    if (entry.id.startsWith(text)) found.push(entry.id);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  if (only === undefined) throw new MementoError("NOT_FOUND", `${where} has no memento ${JSON.stringify(text)}`);
  throw new MementoError(
    "INVALID_ARGUMENT",
    `${found.length} mementos of ${where} begin with ${JSON.stringify(text)}: ${found.slice(0, 5).join(", ")}`,
  );
}

async function nth(vault: Vault, filter: Partial<MementoQuery>, index: number, missing: string): Promise<string> {
  let position = 0;
  for await (const { entry } of vault.store.query(mementoQuery({ ...filter, limit: index + 1 }))) {
    if (position === index) return entry.id;
    position += 1;
  }
  throw new MementoError("NOT_FOUND", missing);
}

async function first(
  vault: Vault,
  filter: Partial<MementoQuery>,
  fits: (entry: MementoEntry) => boolean,
): Promise<string | null> {
  for await (const { entry } of vault.store.query(mementoQuery(filter))) if (fits(entry)) return entry.id;
  return null;
}
