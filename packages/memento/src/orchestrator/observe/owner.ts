/** Whose attempt an event tells of. */
export interface Owner {
  readonly stage: string;
  /** The index of the item, where the stage goes over a list; null otherwise. */
  readonly item: number | null;
}

/** The stage that an attempt was of: that of `load[3]` is `load`, unless a stage of that very name has begun. */
export function ownerOf(name: string, begun: ReadonlyMap<string, unknown>): Owner {
  const [, stage, item] = begun.has(name) ? [] : (/^(.*)\[(\d+)\]$/su.exec(name) ?? []);
  return stage === undefined ? { stage: name, item: null } : { stage, item: Number(item) };
}
