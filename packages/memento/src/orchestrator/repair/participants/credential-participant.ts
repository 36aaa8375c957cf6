import type { CredentialProvider } from "../../credentials/provider.ts";
import type { Participant } from "./participant.ts";

/** A credential in a restore: it was acquired anew when the restore's sources and sinks were opened, before anything was read or touched. */
export function credentialParticipant(name: string, { kind, scope }: CredentialProvider): Participant {
  return {
    kind: "credential",
    name,
    key: `credential:${name}`,
    remembered: false,
    inspect: async () => ({ credentials: [{ name, provider: kind, scope }] }),
    fence: async () => undefined,
    revert: async () => ({ evidence: { kind: "credential", name, verdict: "re-acquired" } }),
    verify: async () => undefined,
  };
}
