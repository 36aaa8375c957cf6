import { openStore as open } from "../../packages/memento/src/store/open-store.ts";
import type { MementoStore } from "../../packages/memento/src/store/store.ts";

/** Opens a store for a worker process of the conformance kit; the address is the store's URL. */
export const openStore = async (address: string): Promise<MementoStore> => (await open(address)).store;
