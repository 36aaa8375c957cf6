import { MementoError } from "../core/errors.ts";

/** Loads a package that only this feature needs; PEER_MISSING, with its name and range, where it is not installed. */
export async function loadPeer<Module>(name: string, range: string, purpose: string): Promise<Module> {
  try {
    return (await import(name)) as Module;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ERR_MODULE_NOT_FOUND" || !(error instanceof Error) || !error.message.includes(name)) throw error;
    throw new MementoError("PEER_MISSING", `${purpose} needs the package ${name} (${range}), which is not installed`, {
      details: { package: name, range },
      hint: `Install it: npm install "${name}@${range}"`,
    });
  }
}
