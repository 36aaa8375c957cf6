import { openStore as open, type MementoStore } from "@mementojs/memento/store";

/** Opens a store for a worker process of the conformance kit; the address is the store's URL. */
export const openStore = async (address: string): Promise<MementoStore> => (await open(address)).store;
