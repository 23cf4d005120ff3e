import { KilnError } from '../../base/errors.ts';

/** The ways in which BuildKit 0.13, 0.15 and 0.31 made results. */
const supported = [10, 20, 30] as const;
const current = 30;

/** 0 is a client that names none. Throws `invalid_argument`. */
export function compatibilityVersionOf(version: bigint): number {
  if (version === 0n) return current;
  const known = supported.find((each) => BigInt(each) === version);
  if (known !== undefined) return known;
  const hint =
    version > current
      ? `upgrade the builder (max supported: ${current})`
      : `supported: ${supported.join(', ')}`;
  throw new KilnError('invalid_argument', `unsupported compatibility-version ${version}`, { hint });
}
