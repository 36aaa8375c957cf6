import { PIECE } from "./run-state.ts";

/** True for what a stage under way has kept besides its progress: failed attempts, and sleeps. */
export function isKept(key: string): boolean {
  return key.startsWith(PIECE.attempts) || key.startsWith(PIECE.sleep);
}

/** Behind these stands a stage's name. */
const BY_STAGE: ReadonlySet<string> = new Set([PIECE.output, PIECE.approval, PIECE.list]);

/** Behind these stands an owner: a stage's name, or `load[3]` for the fourth item of `load`. */
const BY_OWNER: ReadonlySet<string> = new Set([PIECE.underWay, PIECE.attempts]);

/** Behind these stands an owner as `keptKey` writes it. */
const BY_KEPT_KEY: ReadonlySet<string> = new Set([PIECE.sleep, PIECE.item]);

/** True for a stage's output, and for whatever is kept of it, or of one of its items, while it is under way. */
export function isOfStage(key: string, stage: string): boolean {
  const prefix = key.slice(0, key.indexOf("/") + 1);
  const rest = key.slice(prefix.length);
  const isOwner = (owner: string): boolean =>
    owner === stage || (owner.startsWith(stage) && /^\[\d+\]$/.test(owner.slice(stage.length)));
  if (BY_STAGE.has(prefix)) return rest === stage;
  if (BY_OWNER.has(prefix)) return isOwner(rest);
  return BY_KEPT_KEY.has(prefix) && isOwner(decodeURIComponent(rest.slice(0, rest.indexOf("/"))));
}

/** The key of a piece that belongs to a stage under way; no stage's name can be mistaken for another's. */
export function keptKey(prefix: string, owner: string, name: string): string {
  return `${prefix}${encodeURIComponent(owner)}/${name}`;
}
