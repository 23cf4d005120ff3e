import { toByteString } from '../../base/text/byte-string.ts';
import { hasMarks } from './adapt-layer.ts';

/** For each layer directory, whether it holds a whiteout or an opaque directory. */
export default function findMarksTask(layers: readonly string[]): boolean[] {
  return layers.map((layer) => hasMarks(toByteString(layer)));
}
