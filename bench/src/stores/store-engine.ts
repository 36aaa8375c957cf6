/** The bare client of an engine: what somebody writes who wants those bytes there and nothing else. As durable as our store. */
export interface BareStore extends AsyncDisposable {
  /** Writes bytes under a key that is new; durable when it resolves. */
  put(key: string, bytes: Buffer): Promise<void>;
  get(key: string): Promise<Buffer>;
}

/** An empty place of an engine; used by one contender in one turn. */
export interface StorePlace {
  /** What `Memento.open` takes. */
  readonly url: string;
  /** Opens the bare client there; `writers` is how many calls are under way at once. */
  bare(writers: number): Promise<BareStore>;
}

/** An engine that was started. */
export interface StartedEngine extends AsyncDisposable {
  place(): Promise<StorePlace>;
  /** Takes everything away that a turn left, where leaving it would fill the machine's memory. */
  wipe?(): Promise<void>;
}

/** One line of the report. */
export interface StoreEngine {
  /** What the report calls the engine. */
  readonly title: string;
  /** What the bare client does, for the report. */
  readonly bareTitle: string;
  start(folder: string): Promise<StartedEngine>;
}
