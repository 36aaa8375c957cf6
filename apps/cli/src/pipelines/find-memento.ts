import { isMementoError, MementoError, resolveTarget, type Memento } from "@mementojs/memento";
import { parseMementoId } from "@mementojs/memento/core";

import { chooseTimeline, livingTimelines, timelineName, type LivingTimeline } from "./timelines.ts";

/**
 * The id of the memento that a person means, on whichever timeline: ids, beginnings of ids and names are looked for in the
 * whole store; head, numbers and stages need one timeline. NOT_FOUND, INVALID_ARGUMENT.
 */
export async function findMemento(
  memento: Memento,
  text: string,
  named: string | undefined,
  hint = "Write the id out, or say which timeline by --timeline NAME.",
): Promise<string> {
  if (parseMementoId(text) !== undefined) return text;
  if (named !== undefined) return await resolveTarget(memento.vault, await chooseTimeline(memento, { named }), text);
  const timelines = await livingTimelines(memento);
  const found = new Map<string, LivingTimeline>();
  const removed: MementoError[] = [];
  for (const timeline of timelines) {
    const id = await onTimeline(memento, timeline, text);
    if (typeof id === "string") found.set(id, timeline);
    else if (id.details["removed"] !== undefined) removed.push(id);
  }
  const [only] = found.keys();
  if (only !== undefined && found.size === 1) return only;
  if (only === undefined && removed[0] !== undefined) throw removed[0];
  if (only === undefined)
    throw new MementoError("NOT_FOUND", `There is no memento ${text}`, {
      hint: "List what there is with `memento ls`.",
    });
  const list = [...found].map(([id, { record }]) => `${id} (${timelineName(record)})`).join(", ");
  throw new MementoError("INVALID_ARGUMENT", `${found.size} mementos fit ${text}: ${list}`, { hint });
}

/** As `findMemento` without a timeline, and looks also for an id that is written out: NOT_FOUND where it is not in the store, or was removed. */
export async function findLiveMemento(memento: Memento, text: string): Promise<string> {
  const id = await findMemento(memento, text, undefined, "Write the id out.");
  const stored = await memento.vault.store.read(id);
  if (stored !== null && !stored.removed) return id;
  const message = `There is no memento ${id} in ${memento.vault.store.url}`;
  throw new MementoError("NOT_FOUND", message, { details: { id } });
}

/** Its id, or why it is not there. */
async function onTimeline(memento: Memento, timeline: LivingTimeline, text: string): Promise<string | MementoError> {
  try {
    return await resolveTarget(memento.vault, timeline, text);
  } catch (error) {
    if (isMementoError(error, "NOT_FOUND")) return error;
    throw error;
  }
}
