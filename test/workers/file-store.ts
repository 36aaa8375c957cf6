import { FileStore } from "../../packages/memento/src/store/file/store.ts";

/** Opens the file store of a test in a worker process of the conformance kit. */
export async function openStore(address: string): Promise<FileStore> {
  return await FileStore.open({ path: address });
}
