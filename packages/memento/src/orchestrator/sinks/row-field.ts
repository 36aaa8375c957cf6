const PLAIN_NAME = /^[\p{L}_$][\p{L}\p{N}_$]*$/u;

/** Where a value stands, for a message: `rows[3].city`, and where the name would not be seen for one `rows[3][""]`. */
export function rowField(index: number, name: string): string {
  return PLAIN_NAME.test(name) ? `rows[${index}].${name}` : `rows[${index}][${JSON.stringify(name)}]`;
}
