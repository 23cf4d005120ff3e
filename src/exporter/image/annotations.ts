import { KilnError } from '../../base/errors.ts';
import { formatPlatform, type Platform, parsePlatform } from '../../base/platform.ts';

/** Where an annotation is put: into a document, or onto the descriptor that refers to the document. */
type AnnotationTarget = 'index' | 'index-descriptor' | 'manifest' | 'manifest-descriptor';

export interface Annotation {
  readonly target: AnnotationTarget;
  /** Only this platform's manifest; undefined for all. */
  readonly platform?: string;
  readonly key: string;
  readonly value: string;
}

const form = /^annotation(?:-([a-z-]+))?(?:\[([A-Za-z0-9_/-]+)\])?\.(\S+)$/;
const targets: readonly AnnotationTarget[] = ['index', 'index-descriptor', 'manifest', 'manifest-descriptor'];

/** Reads `annotation[-<target>][[<platform>]].<key>` out of attributes or metadata; other keys are passed over. Throws `invalid_argument`. */
export function parseAnnotations(entries: Iterable<readonly [string, string]>): readonly Annotation[] {
  const annotations: Annotation[] = [];
  for (const [name, value] of entries) {
    const match = form.exec(name);
    if (!match) continue;
    const target = targets.find((known) => known === (match[1] ?? 'manifest'));
    if (!target) {
      throw new KilnError('invalid_argument', `unrecognized annotation type ${match[1]} in ${name}`, {
        hint: `one of ${targets.join(', ')}`,
      });
    }
    const platform = match[2] === undefined ? undefined : formatPlatform(parsePlatform(match[2]));
    annotations.push({ target, platform, key: match[3]!, value });
  }
  return annotations;
}

/** The annotations for one target, of one platform where the target is a manifest. The more specific ones win. */
export function annotationsFor(
  annotations: readonly Annotation[],
  target: AnnotationTarget,
  platform?: Platform,
): Readonly<Record<string, string>> {
  const name = platform && formatPlatform(platform);
  const chosen = annotations.filter(
    (each) => each.target === target && (each.platform === undefined || each.platform === name || !platform),
  );
  const general = chosen.filter((each) => each.platform === undefined);
  const specific = chosen.filter((each) => each.platform !== undefined);
  return Object.fromEntries([...general, ...specific].map(({ key, value }) => [key, value]));
}
