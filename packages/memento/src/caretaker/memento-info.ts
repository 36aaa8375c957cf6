import type { MementoEntry } from "../core/memento.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";

/** What is known of a memento besides its value. */
export interface MementoInfo extends Omit<MementoEntry, "metadata"> {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly description: string | null;
  /** Covers everything that the memento says and, by the chain, all before it. */
  readonly digest: string;
  /** Equal for equal content. */
  readonly contentDigest: string;
}

/** Reads the sealed part of a memento's facts. */
export function infoOf(memento: OpenedMemento): MementoInfo {
  const fields = memento.fields();
  const { description, metadata } = fields;
  return {
    ...memento.entry,
    metadata: (metadata as Record<string, unknown> | undefined) ?? {},
    description: typeof description === "string" ? description : null,
    digest: memento.digest,
    contentDigest: memento.contentDigest(),
  };
}
