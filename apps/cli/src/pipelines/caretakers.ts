import { MementoError, type Memento } from "@mementojs/memento";

import { livingTimelines } from "./timelines.ts";

/** Names of the caretakers that hold mementos, sorted. */
export async function livingCaretakers(memento: Memento): Promise<readonly string[]> {
  return [...new Set((await livingTimelines(memento)).map(({ record }) => record.caretaker))].toSorted();
}

/** Throws NOT_FOUND, naming those that there are, for a caretaker that has never had a memento, a policy or a pin. */
export async function demandCaretaker(memento: Memento, name: string): Promise<void> {
  const known = new Set((await memento.vault.store.caretakers()).map((record) => record.name));
  for await (const { record } of memento.timelines()) known.add(record.caretaker);
  if (known.has(name)) return;
  throw new MementoError("NOT_FOUND", `There is no caretaker ${name}`, { hint: caretakersText([...known].toSorted()) });
}

/** The selection of a caretaker that is there. What `demandCaretaker` throws. */
export async function caretakerNamed(memento: Memento, caretaker: string): Promise<{ readonly caretaker: string }> {
  await demandCaretaker(memento, caretaker);
  return { caretaker };
}

/** Which caretakers there are, in a sentence. */
export function caretakersText(names: readonly string[]): string {
  return names.length === 0 ? "The store holds no mementos yet." : `Caretakers here: ${names.join(", ")}.`;
}
