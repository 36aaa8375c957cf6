import { type BookAccess, type Books, padded, type StreamDocument, type TokenDocument } from "./books.ts";

/**
 * Makes the tokens of writes what they were at position `mark`: those taken since are forgotten, and those that a revert forgot
 * since are taken again, for their data is back. Gives the documents to add at the next position, and the source records
 * of the writes that are forgotten.
 */
export async function restoreTokens(
  { tokens }: Books,
  { _id: stream, position }: StreamDocument,
  mark: number,
  access: BookAccess,
): Promise<{ readonly tokens: readonly TokenDocument[]; readonly records: number }> {
  const since = await tokens.find({ stream, position: { $gt: mark }, kind: "write" }, { ...access }).toArray();
  const latest = new Map<string, TokenDocument>();
  for (const each of since.toSorted((a, b) => a.position - b.position)) latest.set(each.token, each);
  const before = new Map<string, boolean>();
  const earlier = { stream, token: { $in: [...latest.keys()] }, position: { $lte: mark }, kind: "write" as const };
  if (latest.size > 0) {
    for await (const { token, live } of tokens.find(earlier, { ...access, sort: { position: 1 } }))
      before.set(token, live);
  }
  const moved: TokenDocument[] = [];
  let records = 0;
  for (const [token, now] of latest) {
    const live = before.get(token) ?? false;
    if (live === now.live) continue;
    const at = position + 1;
    moved.push({ ...now, _id: `${stream}/${padded(at)}/${token}`, position: at, live, by: "" });
    if (!live) records += now.records;
  }
  return { tokens: moved, records };
}
