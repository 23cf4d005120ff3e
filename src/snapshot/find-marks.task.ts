import { hasMarks } from './adapt-layer.ts';
import { bytePath } from './byte-path.ts';

/** For each layer directory, whether it holds a whiteout or an opaque directory. */
export default function findMarksTask(layers: readonly string[]): boolean[] {
  return layers.map((layer) => hasMarks(bytePath(layer)));
}
