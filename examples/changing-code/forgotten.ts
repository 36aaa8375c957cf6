import { orders } from "./after.ts";

/** What `memento check` is for: the new version, and nobody has thought of the mementos that there are. */
export const forgotten = { ...orders, schema: { id: "orders", version: 2 } };
