/**
 * How much is known of an edge, and how much somebody wants to know, in the order of what it costs:
 *
 * - `definition`: its keys as far as definitions and the solver's own key store give them, with the content of those inputs that nothing
 *   else identifies: they are needed whatever is found, and an imported cache that is slow must not delay what is held here;
 * - `imported`: also with the caches that jobs bring along;
 * - `content`: also by the content of inputs, which are computed for it;
 * - `result`: the result itself, loaded or executed.
 *
 * An edge that has any key has reached `content`: more would not help a consumer.
 */
export const level = { none: 0, definition: 1, imported: 2, content: 3, result: 4 } as const;

export type Level = (typeof level)[keyof typeof level];

export const levelNames = ['none', 'definition', 'imported', 'content', 'result'] as const;
