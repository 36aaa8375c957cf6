import { MementoError } from "../../core/errors.ts";
import { systemCode, unwritableFile } from "../../core/path-errors.ts";

/** Does what makes or writes a temporary file. IO_FAILED, DISK_FULL, naming the file and the way to another folder. */
export async function temporarily<T>(place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (systemCode(cause) === undefined || cause instanceof MementoError) throw cause;
    const { code, message, details } = unwritableFile(place, cause);
    throw new MementoError(code, message, {
      cause,
      details,
      hint: "Temporary files go there: make room, or set TMPDIR to another folder.",
    });
  }
}
