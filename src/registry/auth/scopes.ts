/** What a token is to allow, by resource: `repository:library/alpine` and its actions, `pull` and `push`. */

/**
 * The same scopes, each resource once with all its actions, in an order that does not depend on that of `scopes`. What has not the form
 * `type:name:actions` is kept as it is.
 */
export function mergeScopes(scopes: readonly string[]): readonly string[] {
  const actionsOf = new Map<string, Set<string>>();
  for (const scope of scopes) {
    const end = scope.lastIndexOf(':');
    const resource = end > 0 ? scope.slice(0, end) : scope;
    const actions = actionsOf.get(resource) ?? new Set();
    actionsOf.set(resource, actions);
    if (end > 0) for (const action of scope.slice(end + 1).split(',')) actions.add(action);
  }
  return [...actionsOf]
    .map(([resource, actions]) =>
      actions.size === 0 ? resource : `${resource}:${[...actions].sort().join(',')}`,
    )
    .sort();
}

/** Whether nothing but reading is asked for. */
export function onlyReads(scopes: readonly string[]): boolean {
  return scopes.every((scope) => scope.endsWith(':pull'));
}
