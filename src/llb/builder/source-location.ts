import type { Range } from '../../base/errors.ts';
import type { SourceFile } from '../op.ts';

/** Where in a text a vertex was written. Locations that share their `file` object share it in the graph, too. */
export interface SourceLocation {
  readonly file: SourceFile;
  readonly ranges: readonly Range[];
}
