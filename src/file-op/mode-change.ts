import { KilnError } from '../base/errors.ts';

/** Permission bits (07777) after the change, given those before. */
export type ModeChange = (mode: number, isDirectory: boolean) => number;

interface Step {
  readonly operator: '+' | '-' | '=';
  /** The bits that this step may touch. */
  readonly reach: number;
  readonly permissions: string;
}

const reaches: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o0007, a: 0o6777 };
const sticky = 0o1000;
const plain: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111, s: 0o6000, t: sticky };

/**
 * A mode as chmod(1) takes it: octal (`0755`) or symbolic (`u+rwX,go=r`). There is no umask. `X` is execute permission
 * for directories and for files that someone could execute before. Throws `invalid_argument`.
 */
export function parseModeChange(text: string): ModeChange {
  if (/^[0-7]{1,5}$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    if (mode <= 0o7777) return () => mode;
  }
  const clauses = text.split(',').map((clause) => /^([ugoa]*)((?:[+=-][rwxXstugo]*)+)$/.exec(clause));
  if (clauses.includes(null)) {
    throw new KilnError('invalid_argument', `invalid mode ${JSON.stringify(text)}`, {
      hint: 'write it in octal (0644) or as chmod does (u=rwX,go=rX)',
    });
  }
  const steps = clauses.flatMap((clause): Step[] => {
    const [, who = '', actions = ''] = clause!;
    const reach = who === '' ? reaches.a! : [...who].reduce((bits, letter) => bits | reaches[letter]!, 0);
    return [...actions.matchAll(/([+=-])([rwxXstugo]*)/g)].map(([, operator, permissions]) => ({
      operator: operator as Step['operator'],
      // The sticky bit belongs to nobody: it is touched when it is named, and not for others alone.
      reach: permissions!.includes('t') && reach !== reaches.o ? reach | sticky : reach,
      permissions: permissions!,
    }));
  });
  return (before, isDirectory) => {
    const executable = isDirectory || (before & 0o111) !== 0;
    return steps.reduce((mode, { operator, reach, permissions }) => {
      const bits = bitsOf(permissions, mode, executable || operator === '-') & reach;
      if (operator === '+') return mode | bits;
      if (operator === '-') return mode & ~bits;
      return (mode & ~reach) | bits;
    }, before);
  };
}

function bitsOf(permissions: string, mode: number, executable: boolean): number {
  let bits = 0;
  for (const letter of permissions) {
    if (letter === 'X') bits |= executable ? 0o111 : 0;
    else if (letter === 'u') bits |= ((mode >> 6) & 7) * 0o111;
    else if (letter === 'g') bits |= ((mode >> 3) & 7) * 0o111;
    else if (letter === 'o') bits |= (mode & 7) * 0o111;
    else bits |= plain[letter]!;
  }
  return bits;
}
