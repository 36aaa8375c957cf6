import type { EncodedValue, PieceEncoding } from "./codec.ts";
import { composeDeltas } from "./delta/index.ts";
import type { DeltaBase } from "./record.ts";

/** One delta on the way from a piece that is held whole to its present content. */
export interface DeltaLink {
  readonly holder: string;
  /** See `DeltaBase`. */
  readonly step: number;
  readonly delta: Uint8Array;
}

/** How the present content of a piece is held: whole in one record, and by deltas in later ones. */
export interface PieceChain {
  readonly encoding: PieceEncoding;
  /** SHA-256 of the content. */
  readonly digest: string;
  readonly content: Uint8Array;
  readonly keyframe: string;
  /** Oldest first; each one's base is the one before it, the first one's is the keyframe. */
  readonly links: readonly DeltaLink[];
  /** Bytes of all deltas that were written since the keyframe; of a chain that was read, of those on its way (see `writable`). */
  readonly spentBytes: number;
}

/** How a new content is to be held, and the chain that it makes. */
export interface HeldChange {
  readonly bytes: Uint8Array;
  readonly base: DeltaBase | null;
  readonly chain: PieceChain;
}

/** Below this a piece is held whole: a delta would cost a load more than it saves the store. */
export const DELTA_CONTENT_BYTES_MIN = 4_096;

/**
 * One more record on the way back costs a load up to 200 us, and 1 MB of content 6 ms. So the way may be as long as the
 * content is large, and a load stays near 1.4 times that of a whole piece.
 */
const CONTENT_BYTES_PER_LINK = 170_000;
const LINKS_MAX = 24;
/** A piece is held whole again when a load would read so much more than its content, */
const WAY_MAX = 0.75;
/**
 * or its content was written about once since it was whole, and once more for each six links that the way may have: where
 * few are allowed, each delta is folded from most of those before, and what is written grows with the square of the steps.
 * 50 saves of 100 KB, 1 % of the rows changed and 1 % new in each, take 299 KB where three times its content took 352; at
 * 1 MB, where six links are allowed, they take the same, and the slowest load of 1,000 is 1.5 times a whole one's in place of 1.7.
 */
const LINKS_PER_SPENT = 6;
const SPENT_MAX = 3;

/** A chain of nothing but a whole piece. */
export function wholePiece(holder: string, digest: string, { encoding, bytes }: EncodedValue): PieceChain {
  return { encoding, digest, content: bytes, keyframe: holder, links: [], spentBytes: 0 };
}

/**
 * Decides how a piece's next content is held: by the delta, folded with earlier ones so that the way back stays short,
 * or whole once the deltas add up to about its size, or to two or three times that where a longer way back is allowed.
 * `delta` leads from the chain's content to the next; null when there is no good one.
 *
 * The links are digits of the step in a number system: at each multiple of the radix the links since the multiple before
 * are folded into one, at each multiple of its square those, and so on. So a delta is written once for each digit of the
 * number of steps, and the way back is the sum of the digits.
 */
export function holdNext(
  chain: PieceChain,
  holder: string,
  digest: string,
  content: EncodedValue,
  delta: Uint8Array | null,
): HeldChange {
  const whole = (): HeldChange => ({ bytes: content.bytes, base: null, chain: wholePiece(holder, digest, content) });
  if (delta === null) return whole();
  const step = (chain.links.at(-1)?.step ?? 0) + 1;
  const kept = keptLinks(chain.links, step, content.bytes.length);
  const folded = foldAll(chain.links.slice(kept.length), delta);
  if (folded === null) return whole();
  const spentBytes = chain.spentBytes + folded.length;
  const links = [...kept, { holder, step, delta: folded }];
  const wayBytes = links.reduce((sum, link) => sum + link.delta.length, 0);
  const contentBytes = content.bytes.length;
  if (spentBytes >= contentBytes * spentMax(contentBytes) || wayBytes >= contentBytes * WAY_MAX) return whole();
  const { encoding, bytes } = content;
  return {
    bytes: folded,
    base: { holder: kept.at(-1)?.holder ?? chain.keyframe, step },
    chain: { encoding, digest, content: bytes, keyframe: chain.keyframe, links, spentBytes },
  };
}

/** Past so many steps nobody asks how a chain came to be: its next content is held whole. */
const STEPS_MAX = 10_000;

/**
 * A chain that was read, to be written on. What has been spent on it is not kept anywhere: it is what the same number of steps
 * costs when each brings as much as they did on average.
 */
export function writable(chain: PieceChain): PieceChain {
  const steps = chain.links.at(-1)?.step ?? 0;
  if (steps === 0) return chain;
  if (steps > STEPS_MAX) return { ...chain, spentBytes: Infinity };
  let spent = 0;
  let links: readonly { readonly step: number; readonly brings: number }[] = [];
  for (let step = 1; step <= steps; step++) {
    const kept = keptLinks(links, step, chain.content.length);
    const brings = links.slice(kept.length).reduce((sum, link) => sum + link.brings, 1);
    spent += brings;
    links = [...kept, { step, brings }];
  }
  return { ...chain, spentBytes: Math.round((chain.spentBytes / steps) * spent) };
}

/** The deltas of these links and the one after them, as one; null where that is not worth having. */
function foldAll(links: readonly DeltaLink[], last: Uint8Array): Uint8Array | null {
  let folded: Uint8Array | null = last;
  for (const { delta } of links.toReversed()) folded = folded === null ? null : composeDeltas(delta, folded);
  return folded;
}

/** How many links the way back to a content of this size may have. */
function linksMax(contentBytes: number): number {
  return Math.min(Math.max(Math.floor(contentBytes / CONTENT_BYTES_PER_LINK), 1), LINKS_MAX);
}

function spentMax(contentBytes: number): number {
  return Math.min(1 + (linksMax(contentBytes) - 1) / LINKS_PER_SPENT, SPENT_MAX);
}

/** The links that the new one builds on; those after them are folded into it. */
function keptLinks<Link extends Pick<DeltaLink, "step">>(
  links: readonly Link[],
  step: number,
  contentBytes: number,
): readonly Link[] {
  const most = linksMax(contentBytes);
  const radix = Math.max((most >> 1) + 1, 2);
  let span = 1;
  while (step % (span * radix) === 0) span *= radix;
  let kept = links.filter((link) => link.step <= step - span);
  // Many digits make a long way, too: then higher ones are folded early.
  for (; kept.length >= most; span *= radix) kept = links.filter((link) => link.step <= step - (step % span) - span);
  return kept;
}
