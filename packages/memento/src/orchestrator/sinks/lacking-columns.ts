/** Those of the columns that rows which were written with other ones lack. */
export function lacking(names: readonly string[], written: { readonly columns: readonly string[] }): readonly string[] {
  return names.filter((name) => !written.columns.includes(name));
}
