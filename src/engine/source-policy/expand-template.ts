/**
 * Fills in `$name` and `${name}`, where a name is as long as letters, digits and underscores go on, and `$$` as a dollar
 * sign. Names that stand for nothing become empty; a dollar sign before anything else stays.
 */
export function expandTemplate(template: string, groupOf: (name: string) => string | undefined): string {
  return template.replace(/\$(?:(\$)|(\w+)|\{(\w+)\})/g, (_, dollar, bare, braced) =>
    dollar ? '$' : (groupOf(bare ?? braced) ?? ''),
  );
}
