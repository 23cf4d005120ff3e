/**
 * Replaces `$name` and `${name}` by what `groupOf` returns, and `$$` by a dollar sign. A name is the longest run of letters, digits
 * and underscores. Unknown names become empty; a dollar sign before anything else stays.
 */
export function expandTemplate(template: string, groupOf: (name: string) => string | undefined): string {
  return template.replace(/\$(?:(\$)|(\w+)|\{(\w+)\})/g, (_, dollar, bare, braced) =>
    dollar ? '$' : (groupOf(bare ?? braced) ?? ''),
  );
}
