import { MementoError } from "../../../core/errors.ts";
import type { MementoStore, StoreSupports } from "../../store.ts";
import { interceptLateStore } from "../intercept.ts";

/** What may be counted on while nobody knows. */
const UNKNOWN: StoreSupports = { durable: false, sharedBy: "process", bodyBytesMax: 0, reclaimsSpace: false };

/**
 * A store that could not be opened as yet: each call opens it first, and throws what keeps it from that. `url` stands for its own
 * until then. Without `glance` and `engine`, as nobody knows whether it has them. Closed before it was opened, it never is.
 */
export function lateStore(url: string, open: () => Promise<MementoStore>): MementoStore {
  let opened: MementoStore | null = null;
  let opening: Promise<MementoStore> | null = null;
  let isClosed = false;
  const reach = async (): Promise<MementoStore> => {
    if (isClosed) throw new MementoError("STORE_CLOSED", `${url} is closed`);
    opening ??= open().finally(() => (opening = null));
    const store = await opening;
    if (isClosed) await store.close();
    return (opened ??= store);
  };
  const facts = {
    get url(): string {
      return opened?.url ?? url;
    },
    get supports(): StoreSupports {
      return opened?.supports ?? UNKNOWN;
    },
  };
  const store = (): MementoStore => {
    if (opened === null) throw new MementoError("STORE_CLOSED", `${url} was not opened`);
    return opened;
  };
  return interceptLateStore(facts, store, async (call, proceed) => {
    if (call.method === "close") {
      isClosed = true;
      // What keeps it from being opened was told to who asked for it.
      await opening?.catch(() => null);
      if (opened === null) return undefined as Awaited<ReturnType<typeof proceed>>;
    } else if (opened === null) await reach();
    return await proceed();
  });
}
