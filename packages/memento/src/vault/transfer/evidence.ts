import type { Notice, NoticeKind } from "../../core/event.ts";
import type { Json } from "../../core/json.ts";
import type { NoticeHeader } from "../../store/header.ts";
import type { Vault } from "../vault.ts";

/** Who restored, erased or cleaned up what, and why. Saves, removals and settings are told by what is copied itself. */
const KINDS: ReadonlySet<NoticeKind> = new Set<NoticeKind>(["restored", "cleaned", "erased"]);

/** Collects what a log says of its past, to be written down in another one. */
export class Evidence {
  readonly #source: string;
  readonly #found: Notice[] = [];
  readonly #known = new Set<string>();

  /** `source` is the id of the store that is copied. */
  constructor(source: string) {
    this.#source = source;
  }

  /** Takes a notice of the source. */
  takeSource({ notice }: NoticeHeader): void {
    if (KINDS.has(notice.kind)) this.#found.push(notice);
  }

  /** Takes a notice of the target: one that was written down before is not written again. */
  takeTarget({ notice }: NoticeHeader): void {
    const copy = notice.details["copy"] as { readonly store?: Json; readonly at?: Json } | null | undefined;
    const { store, at } = copy ?? {};
    if (store === this.#source && typeof at === "string") this.#known.add(textOf(notice, at));
  }

  /**
   * Writes down what the target's log does not have yet; gives how many. What speaks of mementos that are live there is
   * left out: a log that says that they are gone would contradict its store.
   */
  async write(to: Vault, isLive: (id: string) => boolean, isCopied: (notice: Notice) => boolean): Promise<number> {
    let written = 0;
    for (const notice of this.#found) {
      const { kind, caretaker, timeline, mementos, at, details } = notice;
      const contradicts = kind !== "restored" && mementos.some((id) => isLive(id));
      if (contradicts || this.#known.has(textOf(notice, at)) || !isCopied(notice)) continue;
      const copy = { store: this.#source, at };
      await to.store.note(to.notice(kind, { caretaker, timeline, mementos }, { ...details, copy }));
      written += 1;
    }
    return written;
  }
}

const textOf = ({ kind, caretaker, timeline, mementos }: Notice, at: string): string =>
  JSON.stringify([kind, caretaker, timeline, mementos, at]);
