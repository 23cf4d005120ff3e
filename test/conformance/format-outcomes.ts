import type { Outcomes } from './case-files.ts';

/** JSON that a person can review: what fits is on one line. */
export function formatOutcomes(outcomes: Outcomes): string {
  return `${format(outcomes, '')}\n`;
}

/** Characters that a line may have before it is broken; the entries of a layer stay on theirs. */
const lineLength = 110;

function format(value: unknown, indent: string): string {
  const flat = JSON.stringify(value);
  const isEntry = typeof value === 'object' && value !== null && 'mtime' in value;
  if (typeof value !== 'object' || value === null || isEntry || flat.length + indent.length <= lineLength) {
    return spaced(value);
  }
  const deeper = `${indent}  `;
  const [open, close, items] = Array.isArray(value)
    ? ['[', ']', value.map((item) => format(item, deeper))]
    : [
        '{',
        '}',
        Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${format(item, deeper)}`),
      ];
  return `${open}\n${items.map((item) => deeper + item).join(',\n')}\n${indent}${close}`;
}

function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const pairs = Object.entries(value).filter(([, item]) => item !== undefined);
  if (pairs.length === 0) return '{}';
  return `{ ${pairs.map(([key, item]) => `${JSON.stringify(key)}: ${spaced(item)}`).join(', ')} }`;
}
