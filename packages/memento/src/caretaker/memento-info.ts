import type { MementoEntry } from "../core/memento.ts";
import { givenLabels, isStream } from "../store/query.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";

/** What is known of a memento besides its value. */
export interface MementoInfo extends Omit<MementoEntry, "metadata"> {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly description: string | null;
  /** True: it holds a stream of bytes, for `openStream`. */
  readonly isStream: boolean;
  /** Covers everything that the memento says and, by the chain, all before it. */
  readonly digest: string;
  /** Equal for equal content. */
  readonly contentDigest: string;
}

/** The facts of a memento that was read: its sealed ones are read too. */
export function infoOf(memento: OpenedMemento): MementoInfo {
  return infoFrom(memento.entry, memento.fields(), memento.digest, memento.contentDigest());
}

/** The facts of a memento, put together from its clear entry, its sealed fields and its digests. */
export function infoFrom(
  entry: MementoEntry,
  { description, metadata }: Readonly<Record<string, unknown>>,
  digest: string,
  contentDigest: string,
): MementoInfo {
  return {
    ...entry,
    labels: givenLabels(entry),
    isStream: isStream(entry),
    metadata: (metadata as Record<string, unknown> | undefined) ?? {},
    description: typeof description === "string" ? description : null,
    digest,
    contentDigest,
  };
}
